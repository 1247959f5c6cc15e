// Motion files as avatar/animate/motion_file.py reads them: the CSV of Live Link Face, or the JSON that
// LAM_WebRender plays. docs/drive.md describes both.

export const HEAD = ["HeadPitch", "HeadYaw", "HeadRoll"]; // rad, about x, y and z of the head
export const EYES = { // rad; the place in `eyes_pose`
  LeftEyePitch: 0, LeftEyeYaw: 1, RightEyePitch: 3, RightEyeYaw: 4,
};
const UNUSED = ["LeftEyeRoll", "RightEyeRoll", "BlendShapeCount"];
const TIMECODE = "Timecode", SECONDS = "time";
const RATE = 30; // rows a second where a file does not tell
const MOST_ROWS = 200000;
const MOST_GAP = 1; // seconds between rows
const CLOCK_RATES = [24, 25, 30, 50, 60]; // frames of a timecode a second
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * A motion: {columns, length, seconds}. `columns` has the numbers of each name, `seconds` is the mean step.
 * Throws an Error with a plain message where the file cannot be played.
 */
export function readMotion(file, text, header) {
  const json = /\.json$/i.test(file);
  const { names, rows, fps = RATE } = json ? fromJson(text) : fromCsv(text);
  if (rows.length === 0) throw new Error("The file has no rows of coefficients.");
  if (rows.length > MOST_ROWS) throw new Error(`The file has over ${MOST_ROWS} rows.`);
  const cells = columnsOf(names.map(spelling(header)), rows);
  const times = timesOf(cells, fps);
  const columns = {};
  for (const [name, values] of Object.entries(cells)) {
    if (![TIMECODE, SECONDS, ...UNUSED].includes(name)) {
      columns[name] = values.map((cell, i) => number(cell, name, i));
      if (!HEAD.includes(name) && !(name in EYES)) columns[name] = strengths(name, columns[name]);
    }
  }
  if (Object.keys(columns).length === 0) throw new Error("The file has no column of coefficients.");
  const seconds = rows.length > 1 ? (times.at(-1) - times[0]) / (rows.length - 1) : 1 / RATE;
  return { columns, length: rows.length, seconds };
}

function fromCsv(text) {
  const lines = text.split(/\r\n|\r|\n/).map((line) => line.split(",").map(plain));
  const [names = [], ...rows] = lines.filter((cells) => cells.some((cell) => cell !== ""));
  return { names, rows };
}

function plain(cell) {
  return cell.trim().replace(/^"(.*)"$/, "$1").trim();
}

function fromJson(text) {
  const { names, frames, metadata } = JSON.parse(text);
  if (!Array.isArray(names) || !Array.isArray(frames)) {
    throw new Error("Expected a JSON object with `names` and `frames`.");
  }
  const fps = metadata?.fps === undefined ? RATE : Number(metadata.fps ?? NaN);
  if (!(fps >= 1 && fps <= 1000)) throw new Error("metadata.fps is not 1 to 1000.");
  const turned = frames.some((frame) => frame?.rotation?.length);
  const timed = frames.some((frame) => (frame?.time ?? null) !== null);
  const rows = frames.map((frame, i) => {
    const { weights, rotation, time } = frame ?? {};
    const complete = Array.isArray(weights) && weights.length === names.length
      && (!turned || rotation?.length === HEAD.length);
    if (!complete) throw new Error(`Row ${i + 1} is not ${names.length} weights and a rotation.`);
    return [...weights, ...(turned ? rotation : []), ...(timed ? [time] : [])];
  });
  return { names: [...names, ...(turned ? HEAD : []), ...(timed ? [SECONDS] : [])], rows, fps };
}

/** A function that gives a name as the rig spells it; throws where the rig does not know it. */
function spelling({ expressions, actions }) {
  if (!expressions.includes("eyeBlinkLeft")) {
    throw new Error("Motion files have ARKit's actions, and this avatar's rig has others.");
  }
  const all = [...expressions, ...Object.keys(actions), ...HEAD, ...Object.keys(EYES), ...UNUSED,
    TIMECODE, SECONDS];
  const known = new Map(all.map((name) => [name.toLowerCase(), name]));
  return (given) => {
    const name = known.get(String(given).trim().toLowerCase());
    if (!name) throw new Error(`“${given}” is not an action of this avatar's rig.`);
    return name;
  };
}

function columnsOf(names, rows) {
  if (new Set(names).size < names.length) throw new Error("A column is there twice.");
  rows.forEach((row, i) => {
    if (row.length !== names.length) throw new Error(`Row ${i + 1} is not ${names.length} cells.`);
  });
  return Object.fromEntries(names.map((name, place) => [name, rows.map((row) => row[place])]));
}

function number(cell, name, i) {
  const text = typeof cell === "object" ? "" : String(cell).trim();
  const value = NUMBER.test(text) ? Number(text) : NaN;
  if (!Number.isFinite(value)) throw new Error(`Row ${i + 1}: ${name} is not a finite number.`);
  return value;
}

/** Recorders and networks overshoot a little; percentages are another unit. */
function strengths(name, values) {
  const far = values.find((value) => Math.abs(value - 0.5) > 1.5);
  if (far !== undefined) throw new Error(`${name} reaches ${far}, expected 0 to 1.`);
  return values.map((value) => Math.min(Math.max(value, 0), 1));
}

function timesOf(cells, fps) {
  let times = Object.values(cells)[0].map((_, i) => i / fps);
  if (cells[TIMECODE]) times = clockTimes(cells[TIMECODE]);
  else if (cells[SECONDS]) times = cells[SECONDS].map((cell, i) => number(cell, SECONDS, i));
  for (let i = 1; i < times.length; i++) {
    const step = times[i] - times[i - 1];
    if (!(step > 0)) throw new Error(`Row ${i + 1} is not later than the one before.`);
    if (step > MOST_GAP) throw new Error(`${step.toFixed(1)} s are missing after row ${i}.`);
  }
  return times;
}

/** Seconds of timecodes HH:MM:SS:FF.fff, FF in frames of the clock's rate. */
function clockTimes(codes) {
  const parts = codes.map((code, i) => {
    const match = /^(\d+):(\d+):(\d+):(\d+(?:\.\d+)?)$/.exec(code);
    if (!match) throw new Error(`Row ${i + 1}: the timecode is not HH:MM:SS:FF.fff.`);
    return match.slice(1).map(Number);
  });
  // The clock's rate is not in the file: the lowest usual one that has all the frames seen.
  const most = Math.floor(parts.reduce((found, [, , , frame]) => Math.max(found, frame), 0));
  let base = CLOCK_RATES.find((rate) => rate > most) ?? most + 1;
  if (new Set(parts.map(([, , second]) => second)).size === 1) base = most < 30 ? 30 : 60;
  let days = 0;
  return parts.map(([hour, minute, second, frame], i) => {
    if (i > 0 && hour < parts[i - 1][0] - 12) days++; // midnight
    return 86400 * days + 3600 * hour + 60 * minute + second + frame / base;
  });
}
