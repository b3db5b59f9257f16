// The numbers that a figure shows, as CSV: a row a point, a column for whatever an axis or a colour stands for.

// As few digits as say which number it is.
function digits(value, single) {
  if (typeof value !== "number") return value === null || value === undefined ? "" : String(value);
  if (!Number.isFinite(value)) return "";
  if (single) {
    for (let count = 6; count < 9; count += 1) {
      const short = Number(value.toPrecision(count));
      if (Math.fround(short) === value) return String(short);
    }
  }
  return String(value);
}

// An epoch that is drawn at log10(epoch + 1).
function epochOf(value) {
  const epoch = 10 ** value - 1;
  return Math.abs(epoch - Math.round(epoch)) < 1e-5 * (1 + epoch) ? Math.round(epoch) : epoch;
}

function cell(values, k, { scale, texts }) {
  const value = values[k];
  if (scale === "epoch" && Number.isFinite(value)) return String(epochOf(value));
  return texts?.[value] ?? digits(value, values instanceof Float32Array);
}

function rowsOf(trace, columns) {
  const axis = (letter) => columns[`${letter}axis${trace[`${letter}axis`]?.slice(1) ?? ""}`] ?? { name: letter, scale: "" };
  const x = axis("x");
  const y = axis("y").name === x.name ? { ...axis("y"), name: `${x.name} (vertical)` } : axis("y");
  const color = columns[trace.marker?.coloraxis ?? trace.coloraxis] ?? { name: trace.colorbar?.title?.text || trace.marker?.colorbar?.title?.text || "value", scale: "" };
  const more = Object.entries(trace.meta?.columns ?? {});
  const extra = (k) => Object.fromEntries(more.map(([name, values]) => [name, plainText(values[k % values.length])]));
  const rows = [];
  if (trace.z?.length) {
    for (let j = 0; j < trace.z.length; j += 1) {
      for (let i = 0; i < trace.z[j].length; i += 1) {
        const across = trace.x ? cell(trace.x, i, x) : String(i);
        rows.push({ [x.name]: across, [y.name]: trace.y ? cell(trace.y, j, y) : String(j), [color.name]: cell(trace.z[j], i, color) });
      }
    }
    return rows;
  }
  const count = Math.max(trace.x?.length ?? 0, trace.y?.length ?? 0);
  const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
  for (let k = 0; k < count; k += 1) {
    if (trace.x && trace.y && !(known(trace.x[k]) && known(trace.y[k]))) continue; // a gap in a line
    const row = { [x.name]: trace.x ? cell(trace.x, k, x) : String(k), [y.name]: trace.y ? cell(trace.y, k, y) : String(k), ...extra(k) };
    for (const [letter, { name }] of [["x", x], ["y", y]]) {
      const bars = trace[`error_${letter}`];
      if (!bars?.array || bars.visible === false) continue;
      row[`${name}, lower end`] = digits(trace[letter][k] - (bars.symmetric === false ? bars.arrayminus : bars.array)[k]);
      row[`${name}, upper end`] = digits(trace[letter][k] + bars.array[k]);
    }
    if (trace.marker?.color?.length && typeof trace.marker.color !== "string" && typeof trace.marker.color[k] === "number") {
      row[color.name] = cell(trace.marker.color, k, color);
    }
    if (Array.isArray(trace.text)) row.text = plainText(trace.text[k]);
    rows.push(row);
  }
  return rows;
}

const plainText = (text) => new DOMParser().parseFromString(String(text ?? "").replace(/<br>/g, " "), "text/html").body.textContent;

function table(figure) {
  const { columns, panels, frames } = figure.content;
  const frame = figure.controls && frames.find(({ name }) => name === figure.controls.frames[figure.frame]);
  const moved = new Set(frame ? frame.traces ?? frame.data.map((_, k) => k) : []);
  const rows = [];
  figure.element._fullData.forEach((trace, k) => {
    if (trace.visible !== true) return;
    const panel = panels[`xaxis${trace.xaxis?.slice(1)} yaxis${trace.yaxis?.slice(1)}`];
    const name = plainText(figure.content.data[k].name ?? trace.legendgroup);
    const about = { ...(panel && { panel }), trace: trace.fill?.startsWith("to") ? `${name} (band)`.trim() : name };
    if (figure.choices) about[figure.choices.prefix] = figure.choices.labels[figure.chosen];
    if (moved.has(k)) about[figure.controls.prefix] = figure.labels[figure.frame];
    for (const row of rowsOf(trace, columns)) rows.push({ ...about, ...row });
  });
  const names = [...new Set(rows.flatMap(Object.keys))].sort((a, b) => (b === "panel") - (a === "panel"));
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [names, ...rows.map((row) => names.map((name) => row[name] ?? ""))].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}
