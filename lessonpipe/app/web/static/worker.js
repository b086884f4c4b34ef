// The network, away from the page, so that this stays alive.
import * as ort from "./ort.wasm.min.mjs";
import { restore } from "./tiles.js";

const SIDE = (navigator.deviceMemory ?? 2) >= 4 ? 512 : 320; // of tiles; phones may not tell
ort.env.wasm.numThreads = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href;
const session = ort.InferenceSession.create("model.onnx", { executionProviders: ["wasm"] });

self.onmessage = async ({ data: { rgba, width, height, grid, colours } }) => {
  try {
    const network = await session;
    const run = async (x, h, w) => {
      const answer = await network.run({ picture: new ort.Tensor("float32", x, [1, 3, h, w]) });
      return answer.restored.data;
    };
    const progress = (share) => self.postMessage({ share });
    const result = await restore(rgba, width, height, { side: SIDE, grid, colours, run, progress });
    self.postMessage({ result }, [result.buffer]);
  } catch (error) {
    self.postMessage({ error: String(error?.message ?? error) });
  }
};
