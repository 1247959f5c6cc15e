// The camera: OpenCV axes (+x right, +y down, +z forward), pinhole, pixel centres at +0.5.

import { product, rotationMatrix, turned } from "./rotations.js";

const STEEPEST = 1.5; // rad up or down
const CLOSEST = 0.15, FARTHEST = 8; // of the first view's distance

/** A camera that orbits the head; `home` is the exported first view. */
export class Orbit {
  constructor(home) {
    this.home = home;
    this.reset();
  }

  reset() {
    this.yaw = 0;
    this.pitch = 0;
    this.zoom = 1;
    this.target = [...this.home.target];
  }

  rotate(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.min(Math.max(this.pitch + pitch, -STEEPEST), STEEPEST);
  }

  scale(factor) {
    this.zoom = Math.min(Math.max(this.zoom * factor, CLOSEST), FARTHEST);
  }

  /** Move the target by a share of the picture's height. */
  pan(right, down) {
    const size = 2 * this.distance() * Math.tan(this.halfAngle());
    const turn = this.turn();
    for (let c = 0; c < 3; c++) {
      this.target[c] -= size * (right * turn[c] + down * turn[3 + c]);
    }
  }

  distance() {
    return this.home.distance * this.zoom;
  }

  halfAngle() {
    return (this.home.field_of_view * Math.PI) / 360;
  }

  turn() {
    const orbit = product(rotationMatrix([this.pitch, 0, 0]), rotationMatrix([0, this.yaw, 0]));
    return product(orbit, this.home.turn);
  }

  /** Camera of a picture in pixels: the field of view covers its smaller side. */
  camera(width, height) {
    const turn = this.turn();
    const shift = turned(turn, this.target).map((value) => -value);
    shift[2] += this.distance();
    const focal = Math.min(width, height) / 2 / Math.tan(this.halfAngle());
    return { turn, shift, focal: [focal, focal], centre: [width / 2, height / 2] };
  }
}
