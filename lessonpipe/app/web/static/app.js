// Choose pictures, restore them in this browser, compare, download.
const MAX_PIXELS = 50_000_000;
const settings = await (await fetch("settings.json")).json();
const $ = (id) => document.getElementById(id);
const queue = [];
let busy = false;
let worker = null;

$("undoes").textContent = settings.undoes.length ? `Undoes ${settings.undoes.join(", ")}.` : "";
$("files").addEventListener("change", (event) => add(event.target.files));
for (const name of ["dragover", "drop"])
  document.addEventListener(name, (event) => {
    event.preventDefault();
    if (name === "drop") add(event.dataTransfer.files);
  });
document.addEventListener("paste", (event) => add(event.clipboardData.files));

if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("sw.js");
  navigator.serviceWorker.ready.then(() => {
    $("offline").textContent = "It works without a network now.";
  });
}

function add(files) {
  for (const file of files) {
    const item = $("item").content.cloneNode(true).querySelector("li");
    item.querySelector("h2").textContent = file.name;
    $("items").append(item);
    queue.push({ file, item });
  }
  $("files").value = "";
  next();
}

async function next() {
  if (busy || !queue.length) return;
  busy = true;
  const { file, item } = queue.shift();
  try {
    await restoreFile(file, item);
  } catch (error) {
    tell(item, `Not restored: ${error.message}`);
    worker?.terminate();
    worker = null;
  }
  item.querySelector("progress").hidden = true;
  busy = false;
  next();
}

function tell(item, text) {
  item.querySelector("[role=status]").textContent = text;
}

async function restoreFile(file, item) {
  tell(item, "Reading…");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Error("this browser cannot read it as a picture");
  }
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS)
    throw new Error(`${width}×${height} pixels are more than ${MAX_PIXELS / 1e6} million`);
  const before = canvasOf(width, height);
  const context = before.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  tell(item, "Restoring…");
  const rgba = context.getImageData(0, 0, width, height).data;
  const start = performance.now();
  const result = await inWorker({ rgba, width, height, ...settings }, (share) => {
    item.querySelector("progress").value = share;
  });
  const after = canvasOf(width, height);
  after.getContext("2d").putImageData(new ImageData(result, width, height), 0, 0);
  tell(item, `Restored in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  await show(item, file, before, after);
}

function canvasOf(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

function inWorker(picture, progress) {
  worker ??= new Worker("worker.js", { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      if (data.error) reject(new Error(data.error));
      else if (data.result) resolve(data.result);
      else progress(data.share);
    };
    worker.onerror = (event) => reject(new Error(event.message || "the network did not load"));
    worker.postMessage(picture, [picture.rgba.buffer]);
  });
}

async function show(item, file, before, after) {
  const compare = item.querySelector(".compare");
  const address = async (canvas, type, quality) =>
    URL.createObjectURL(await new Promise((done) => canvas.toBlob(done, type, quality)));
  const jpeg = file.type === "image/jpeg";
  const [type, suffix] = jpeg ? ["image/jpeg", "jpg"] : ["image/png", "png"];
  compare.children[0].src = await address(before, "image/png");
  compare.children[1].src = await address(after, "image/png");
  const link = item.querySelector("a");
  link.href = jpeg ? await address(after, type, 0.95) : compare.children[1].src;
  link.download = `${file.name.replace(/\.[^.]+$/, "")}-restored.${suffix}`;
  item.querySelector("input").addEventListener("input", (event) =>
    compare.style.setProperty("--at", `${event.target.value}%`),
  );
  item.querySelector(".answer").hidden = false;
}
