// Restoring in tiles that overlap, as lessonpipe/inference/tiles.py and restorer.py do it.
export const MARGIN = 64; // pixels at a tile's inner edge that are not used
export const BLEND = 32; // pixels over which a tile fades into its neighbour

/** The tiles' ends along a side of `length` pixels. */
export function spans(length, side, grid) {
  if (length <= side) return [[0, length]];
  const step = Math.floor((side - 2 * MARGIN - BLEND) / grid) * grid;
  const found = [];
  for (let start = 0; start < length - 2 * MARGIN - BLEND; start += step)
    found.push([start, Math.min(start + side, length)]);
  return found;
}

/**
 * For each sample of a window that is padded for the network, by its last ones again, the index in
 * a side of `length`.
 */
function padded([start, end], length, grid) {
  const before = start === 0 ? grid : 0;
  const size = end - start + before + (end === length ? grid : 0);
  const total = Math.max(2 * grid, Math.ceil(size / grid) * grid);
  const at = (_, i) => Math.min(Math.max(start + i - before, start), end - 1);
  return { indices: Int32Array.from({ length: total }, at), before };
}

/** A window of RGBA samples, restored by `run`: RGB floats of 0...1, row by row. */
async function restoreWindow(rgba, width, height, rows, columns, grid, run) {
  const down = padded(rows, height, grid);
  const across = padded(columns, width, grid);
  const [h, w] = [down.indices.length, across.indices.length];
  const x = new Float32Array(3 * h * w);
  for (let i = 0; i < h; i++)
    for (let j = 0; j < w; j++) {
      const from = 4 * (down.indices[i] * width + across.indices[j]);
      for (let c = 0; c < 3; c++) x[c * h * w + i * w + j] = rgba[from + c] / 255;
    }
  const y = await run(x, h, w);
  const [tall, wide] = [rows[1] - rows[0], columns[1] - columns[0]];
  const tile = new Float32Array(3 * tall * wide);
  for (let i = 0; i < tall; i++)
    for (let j = 0; j < wide; j++)
      for (let c = 0; c < 3; c++)
        tile[3 * (i * wide + j) + c] =
          y[c * h * w + (i + down.before) * w + (j + across.before)];
  return tile;
}

/** One row of tiles, blended from left to right. */
async function band(rgba, width, height, rows, columns, grid, run, advance) {
  const tall = rows[1] - rows[0];
  const made = new Float32Array(3 * tall * width);
  let reached = 0;
  for (const [left, right] of columns) {
    const tile = await restoreWindow(rgba, width, height, rows, [left, right], grid, run);
    const start = reached ? left + MARGIN : 0;
    const stop = reached ? Math.min(start + BLEND, reached) : 0;
    for (let i = 0; i < tall; i++)
      for (let j = start; j < right; j++) {
        const share = j < stop ? (j - start + 1) / (stop - start + 1) : 1;
        for (let c = 0; c < 3; c++) {
          const at = 3 * (i * width + j) + c;
          const sample = tile[3 * (i * (right - left) + j - left) + c];
          made[at] = share === 1 ? sample : made[at] * (1 - share) + sample * share;
        }
      }
    reached = right;
    advance();
  }
  return made;
}

/** Whether all samples have equal channels: such a picture stays grey. */
function isGrey(rgba) {
  for (let i = 0; i < rgba.length; i += 4)
    if (rgba[i] !== rgba[i + 1] || rgba[i] !== rgba[i + 2]) return false;
  return true;
}

/**
 * Samples whose fully transparent pixels have the colours around them, as lessonpipe/inference/
 * pixels.py fills them: what lies there would else be drawn into the edges as a halo.
 */
export function bled(rgba, width, height) {
  let open = false;
  for (let i = 3; i < rgba.length && !open; i += 4) open = !rgba[i];
  if (!open || Math.min(width, height) < 2) return rgba;
  const [w, h] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const [sums, weights] = [new Float32Array(3 * w * h), new Float32Array(w * h)];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [from, to] = [4 * (y * width + x), (y >> 1) * w + (x >> 1)];
      if (!rgba[from + 3]) continue;
      weights[to]++;
      for (let c = 0; c < 3; c++) sums[3 * to + c] += rgba[from + c];
    }
  const coarse = pushPull(sums, weights, w, h);
  const result = new Uint8ClampedArray(rgba);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [at, from] = [4 * (y * width + x), 3 * ((y >> 1) * w + (x >> 1))];
      if (!rgba[at + 3]) for (let c = 0; c < 3; c++) result[at + c] = coarse[from + c];
    }
  return result;
}

/** Mean colours, in place of the sums; where there is no weight, those of the halved size. */
function pushPull(sums, weights, width, height) {
  const mean = (i, c) => sums[3 * i + c] / weights[i];
  if (weights.every(Boolean) || Math.min(width, height) < 2) {
    let [total, all] = [1e-6, [0, 0, 0]];
    for (let i = 0; i < weights.length; i++) {
      total += weights[i];
      for (let c = 0; c < 3; c++) all[c] += sums[3 * i + c];
    }
    for (let i = 0; i < weights.length; i++)
      for (let c = 0; c < 3; c++) sums[3 * i + c] = weights[i] ? mean(i, c) : all[c] / total;
    return sums;
  }
  const [w, h] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const [halved, halves] = [new Float32Array(3 * w * h), new Float32Array(w * h)];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [from, to] = [y * width + x, (y >> 1) * w + (x >> 1)];
      halves[to] += weights[from];
      for (let c = 0; c < 3; c++) halved[3 * to + c] += sums[3 * from + c];
    }
  const coarse = pushPull(halved, halves, w, h);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [at, from] = [y * width + x, (y >> 1) * w + (x >> 1)];
      for (let c = 0; c < 3; c++)
        sums[3 * at + c] = weights[at] ? mean(at, c) : coarse[3 * from + c];
    }
  return sums;
}

/** The luma of `3 H W` floats in all three channels. */
function greyed(y) {
  const plane = y.length / 3;
  const out = new Float32Array(y.length);
  for (let i = 0; i < plane; i++) {
    const luma = 0.299 * y[i] + 0.587 * y[plane + i] + 0.114 * y[2 * plane + i];
    out[i] = out[plane + i] = out[2 * plane + i] = luma;
  }
  return out;
}

/**
 * Restore RGBA samples in place of a copy: `run(x, height, width)` is the network on `1 3 H W`
 * floats, `progress(share)` is told what is done. Grey stays grey unless the model `colours`; alpha
 * stays.
 */
export async function restore(rgba, width, height, { side, grid, colours, run, progress }) {
  rgba = bled(rgba, width, height);
  const grey = !colours && isGrey(rgba);
  const [rows, columns] = [spans(height, side, grid), spans(width, side, grid)];
  const result = new Uint8ClampedArray(rgba);
  let [done, kept, keptRows] = [0, null, 0];
  const whole = grey ? (...given) => run(...given).then(greyed) : run;
  const advance = () => progress(++done / (rows.length * columns.length));
  for (let index = 0; index < rows.length; index++) {
    const [top, bottom] = rows[index];
    const made = await band(rgba, width, height, [top, bottom], columns, grid, whole, advance);
    const last = index === rows.length - 1;
    const first = index ? MARGIN : 0;
    const end = last ? bottom - top : rows[index + 1][0] - top + MARGIN;
    for (let i = first; i < end; i++) {
      const fading = i - first < keptRows;
      const share = fading ? (i - first + 1) / (keptRows + 1) : 1;
      for (let j = 0; j < width; j++)
        for (let c = 0; c < 3; c++) {
          let sample = made[3 * (i * width + j) + c];
          if (fading) sample = kept[3 * ((i - first) * width + j) + c] * (1 - share) + sample * share;
          // rounds half to even as numpy does, which clamped arrays do, too
          result[4 * ((top + i) * width + j) + c] = sample * 255;
        }
    }
    if (!last) {
      kept = made.slice(3 * end * width, 3 * (end + BLEND) * width);
      keptRows = Math.min(BLEND, bottom - top - end);
    }
  }
  return result;
}
