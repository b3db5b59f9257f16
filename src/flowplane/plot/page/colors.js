// What the page looks like now, and colours: on a dark page greys are turned round, and what is too dark to see is made lighter.

const system = window.matchMedia("(prefers-color-scheme: dark)");
const state = { system, theme: system.matches ? "dark" : "light", chosen: false, printing: false };

const DARK = [24, 26, 31];
const LIGHT = [232, 235, 240];

function channels(text) {
  let found = /^#([0-9a-f]{3,8})$/i.exec(text);
  if (found) {
    const short = found[1].length < 6;
    const parts = found[1].match(short ? /./g : /../g).map((part) => parseInt(short ? part + part : part, 16));
    return [...parts.slice(0, 3), parts.length > 3 ? parts[3] / 255 : 1];
  }
  found = /^rgba?\(([^)]*)\)$/i.exec(text);
  if (found) {
    const parts = found[1].split(",").map(Number);
    return parts.length >= 3 && parts.every(Number.isFinite) ? [...parts.slice(0, 3), parts[3] ?? 1] : null;
  }
  return { white: [255, 255, 255, 1], black: [0, 0, 0, 1], grey: [128, 128, 128, 1], gray: [128, 128, 128, 1] }[text] ?? null;
}

const luminance = ([r, g, b]) => 0.2126 * (r / 255) ** 2.2 + 0.7152 * (g / 255) ** 2.2 + 0.0722 * (b / 255) ** 2.2;

function isDark(text) {
  const color = channels(text ?? "");
  return color !== null && luminance(color) < 0.12;
}

function darkened(text) {
  const color = channels(text);
  if (!color) return text;
  let rgb = color.slice(0, 3);
  if (Math.max(...rgb) - Math.min(...rgb) < 10) {
    const part = 1 - rgb[0] / 255;
    rgb = DARK.map((dark, k) => dark + part * (LIGHT[k] - dark));
  } else {
    for (let k = 0; k < 20 && luminance(rgb) < 0.16; k += 1) rgb = rgb.map((value) => value + 0.06 * (255 - value));
  }
  return `rgba(${rgb.map(Math.round).join(",")},${color[3]})`;
}

function recolored(value, key, picture) {
  if (typeof value === "string") return /color$/i.test(key) ? darkened(value) : value;
  if (Array.isArray(value)) {
    if (key === "colorscale") {
      return picture ? value : value.map((pair) => (Array.isArray(pair) ? [pair[0], darkened(pair[1])] : pair));
    }
    if (value.length && typeof value[0] === "number") return value;
    return value.map((part) => recolored(part, key, picture));
  }
  if (value && typeof value === "object") {
    if ("bdata" in value) return value;
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, recolored(part, name, picture)]));
  }
  return value;
}
