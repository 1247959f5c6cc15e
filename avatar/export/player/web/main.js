// The player: what is shown, when it is drawn, and what the user's actions do.

import { readBlock } from "./data.js";
import { Painter } from "./draw.js";
import { motionClip, recordedClip, restPose } from "./motion.js";
import { readMotion } from "./motion_file.js";
import { Panel } from "./panel.js";
import { Rig } from "./rig.js";
import { Splats } from "./splats.js";
import { Orbit } from "./view.js";

const MOST_PIXEL_RATIO = 2; // finer pixels cost time and are not seen
const SLOW = 60; // ms between pictures of a motion, above which fewer pixels are drawn
const COARSEST = 0.35; // share of the pixels' number along a side
const KEY_STEP = 0.08; // rad or, for zoom, share
const WHEEL = 0.001; // zoom per pixel of a mouse wheel
const PER_PIXEL = 0.008; // rad

class Player {
  constructor(elements, { header, arrays }) {
    this.elements = elements;
    this.header = header;
    this.rig = new Rig(header, arrays);
    this.splats = new Splats(header, arrays);
    this.painter = new Painter(elements.picture, this.splats);
    this.orbit = new Orbit(header.home);
    this.recording = recordedClip(header, arrays);
    this.rest = restPose(this.recording, header.home.timestep);
    this.panel = new Panel(elements.sliders, header, (set, value) => this.change(set, value));
    this.drawn = []; // times of the last second's pictures
    this.detail = 1;
    this.use(this.recording, header.home.timestep);
  }

  /** Make a clip the one that the time bar plays. */
  use(clip, step = 0) {
    this.clip = clip;
    this.elements.time.max = clip.length - 1;
    this.elements.recorded.hidden = clip === this.recording;
    this.seek(step);
  }

  seek(step) {
    this.step = Math.min(Math.max(step, 0), this.clip.length - 1);
    this.startedAt = performance.now() - this.step * this.clip.seconds * 1000;
    this.show(this.clip.pose(this.step));
  }

  play(playing) {
    this.playing = playing && this.clip.length > 1;
    if (!this.playing) this.refine(1);
    this.seek(this.step);
    this.elements.play.textContent = this.playing ? "Pause" : "Play";
  }

  show(pose) {
    this.pose = pose;
    this.moved = true;
    this.request();
  }

  /** A slider was moved: what is played stops, and the pose at hand changes. */
  change(set, value) {
    this.playing = false;
    this.refine(1);
    this.elements.play.textContent = "Play";
    const pose = structuredClone(this.pose);
    set(pose, value);
    this.show(pose);
  }

  neutral() {
    this.play(false);
    this.show(this.rest);
  }

  request() {
    this.requested ??= requestAnimationFrame((now) => {
      this.requested = null;
      this.frame(now);
    });
  }

  frame(now) {
    if (this.playing) {
      this.adapt(now - (this.drawn.at(-1) ?? now));
      const step = Math.floor(Math.max(now - this.startedAt, 0) / 1000 / this.clip.seconds);
      if (step % this.clip.length !== this.step) {
        this.step = step % this.clip.length;
        this.pose = this.clip.pose(this.step);
        this.moved = true;
      }
      this.request();
      if (!this.moved && !this.turned) return;
    }
    this.draw(now);
  }

  draw(now) {
    if (this.moved) {
      this.splats.place(this.rig.evaluate(this.pose), this.pose);
      this.panel.show(this.pose);
    }
    this.moved = this.turned = false;
    const { picture } = this.elements;
    this.painter.draw(this.orbit.camera(picture.width, picture.height));
    this.report(now);
  }

  report(now) {
    this.drawn = [...this.drawn.filter((time) => time > now - 1000), now];
    const { rate, time, place } = this.elements;
    rate.textContent = `${this.drawn.length} fps`;
    time.value = this.step;
    const seconds = (this.step * this.clip.seconds).toFixed(2);
    place.textContent = `${this.clip.label(this.step)} · ${seconds} s`;
    time.setAttribute("aria-valuetext", place.textContent);
  }

  /** A motion that is drawn slowly gets fewer pixels; at rest there are all again. */
  adapt(milliseconds) {
    if (milliseconds > SLOW + this.clip.seconds * 1000) this.refine(this.detail * 0.8);
  }

  refine(detail) {
    const before = this.detail;
    this.detail = Math.max(detail, COARSEST);
    if (this.detail !== before) this.resize();
  }

  /** Change the view and draw it. */
  look(change) {
    change(this.orbit);
    this.turned = true;
    this.request();
  }

  resize() {
    const { picture } = this.elements;
    const ratio = Math.min(devicePixelRatio, MOST_PIXEL_RATIO) * this.detail;
    picture.width = Math.max(1, Math.round(picture.clientWidth * ratio));
    picture.height = Math.max(1, Math.round(picture.clientHeight * ratio));
    this.draw(performance.now()); // at once: a canvas is empty after its size has changed
  }

  /** RGBA bytes (colours premultiplied) of a pose as a camera of `Orbit.camera`'s kind sees it. */
  render(pose, camera, width, height) {
    Object.assign(this.elements.picture, { width, height });
    this.splats.place(this.rig.evaluate(pose), pose);
    this.painter.draw(camera);
    return this.painter.pixels();
  }

  async open(file) {
    const { status } = this.elements;
    try {
      const motion = readMotion(file.name, await file.text(), this.header);
      this.use(motionClip(file.name, motion, this.header, this.rest));
      this.play(true);
      status.textContent = `Playing ${file.name}: ${motion.length} rows.`;
    } catch (problem) {
      status.textContent = `${file.name} was not read. ${problem.message}`;
    }
  }

  screenshot() {
    this.draw(performance.now()); // a picture is kept only until its task ends
    this.elements.picture.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${this.header.subject}.png`;
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }
}

/** Keys of the page, and those of the picture when it has the focus. */
function keyActions(player) {
  const turn = (yaw, pitch) => () => player.look((orbit) => orbit.rotate(yaw, pitch));
  const zoom = (factor) => () => player.look((orbit) => orbit.scale(factor));
  const page = {
    " ": () => player.play(!player.playing),
    ",": () => { player.play(false); player.seek(player.step - 1); },
    ".": () => { player.play(false); player.seek(player.step + 1); },
    "+": zoom(1 - KEY_STEP), "=": zoom(1 - KEY_STEP), "-": zoom(1 + KEY_STEP),
    r: () => player.look((orbit) => orbit.reset()),
    n: () => player.neutral(),
    s: () => player.screenshot(),
  };
  const picture = {
    ArrowLeft: turn(-KEY_STEP, 0), ArrowRight: turn(KEY_STEP, 0),
    ArrowUp: turn(0, -KEY_STEP), ArrowDown: turn(0, KEY_STEP),
  };
  return { page, picture };
}

function listenToKeys(player) {
  const { page, picture } = keyActions(player);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = event.key === " " && event.target.closest("button, summary, label");
    const onPicture = event.target === player.elements.picture;
    const action = (onPicture && picture[event.key]) || (!onButton && page[event.key]);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** One pointer orbits, with Shift or the right button it pans; two pinch and pan; wheel zooms. */
function listenToPointers(player) {
  const { picture } = player.elements;
  const pointers = new Map();
  picture.addEventListener("pointerdown", (event) => {
    picture.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    picture.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  picture.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const [right, down] = [event.clientX - before.clientX, event.clientY - before.clientY];
    const others = [...pointers.values()].filter((other) => other !== before);
    pointers.set(event.pointerId, event);
    const height = picture.clientHeight;
    player.look((orbit) => {
      if (others.length) {
        orbit.scale(distance(before, others[0]) / Math.max(distance(event, others[0]), 1));
        orbit.pan(right / height / 2, down / height / 2);
      } else if (event.shiftKey || event.buttons & 2) orbit.pan(right / height, down / height);
      else orbit.rotate(right * PER_PIXEL, -down * PER_PIXEL);
    });
  });
  picture.addEventListener("contextmenu", (event) => event.preventDefault());
  picture.addEventListener("wheel", (event) => {
    event.preventDefault();
    player.look((orbit) => orbit.scale(Math.exp(event.deltaY * WHEEL)));
  }, { passive: false });
}

function distance(a, b) {
  return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
}

function listenToControls(player) {
  const { play, time, view, neutral, shot, recorded, motion } = player.elements;
  play.addEventListener("click", () => player.play(!player.playing));
  time.addEventListener("input", () => player.seek(Number(time.value)));
  view.addEventListener("click", () => player.look((orbit) => orbit.reset()));
  neutral.addEventListener("click", () => player.neutral());
  shot.addEventListener("click", () => player.screenshot());
  recorded.addEventListener("click", () => player.use(player.recording));
  motion.addEventListener("change", () => motion.files[0] && player.open(motion.files[0]));
}

function listenToDrops(player) {
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) player.open(event.dataTransfer.files[0]);
  });
}

function listenToContext(player) {
  const { picture } = player.elements;
  picture.addEventListener("webglcontextlost", (event) => event.preventDefault());
  picture.addEventListener("webglcontextrestored", () => {
    player.painter.prepare();
    player.resize();
  });
}

function start() {
  const named = [...document.querySelectorAll("[id]")].map((element) => [element.id, element]);
  const elements = Object.fromEntries(named);
  try {
    const player = new Player(elements, readBlock(elements.data.textContent));
    elements.data.remove();
    for (const listen of [listenToKeys, listenToPointers, listenToControls, listenToDrops,
      listenToContext]) listen(player);
    new ResizeObserver(() => player.resize()).observe(elements.picture);
    player.play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
    globalThis.headsplat = player;
  } catch (problem) {
    elements.status.textContent = problem.message;
    throw problem;
  }
}

start();
