// A sheet to draw on with pointer, finger or keys, and the drawing as a small grey picture.

export class Sheet {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.side = 28;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#line(this.#place(event), this.#place(event));
      this.last = this.#place(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.last) return;
      for (const part of event.getCoalescedEvents?.() ?? [event]) {
        this.#line(this.last, this.#place(part));
        this.last = this.#place(part);
      }
    });
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, () => {
        this.last = null;
      });
    canvas.addEventListener("keydown", (event) => this.#press(event));
    this.clear();
  }

  clear() {
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.last = null;
    this.resize(this.side);
  }

  /** Sets how many pixels wide and high the picture will be; the pen of the keys goes back to the middle. */
  resize(side) {
    this.side = side;
    this.pen = { column: side >> 1, row: side >> 1, isDown: false };
  }

  /**
   * The drawing in `side` x `side` grey pixels, each the mean of what it covers.
   * @param {boolean} isFitted moves and scales what is drawn to where sets of digits have it: in the middle, as high as the
   *     picture, or 20 pixels high in pictures of 28
   * @returns {Uint8Array}
   */
  pixels(isFitted = false) {
    const { width } = this.canvas;
    const { data } = (isFitted ? this.#fitted() : this.context).getImageData(0, 0, width, width);
    const sums = new Float64Array(this.side * this.side),
      counts = new Float64Array(this.side * this.side);
    for (let y = 0; y < width; y++) {
      for (let x = 0; x < width; x++) {
        const place = Math.floor((y * this.side) / width) * this.side + Math.floor((x * this.side) / width);
        sums[place] += data[4 * (y * width + x)];
        counts[place] += 1;
      }
    }
    return Uint8Array.from(sums, (sum, i) => Math.round(sum / counts[i]));
  }

  /** Another sheet with the drawing in its middle. */
  #fitted() {
    const { width } = this.canvas;
    const { data } = this.context.getImageData(0, 0, width, width);
    let [left, top, right, bottom] = [width, width, 0, 0];
    for (let i = 0; i < width * width; i++) {
      if (!data[4 * i]) continue;
      const x = i % width,
        y = Math.floor(i / width);
      [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
    }
    const other = new OffscreenCanvas(width, width).getContext("2d");
    other.fillRect(0, 0, width, width);
    if (right <= left) return other;
    const room = this.side === 28 ? (width * 20) / 28 : width;
    const scale = room / Math.max(right - left, bottom - top);
    const [wide, high] = [(right - left) * scale, (bottom - top) * scale];
    const place = [(width - wide) / 2, (width - high) / 2, wide, high];
    other.drawImage(this.canvas, left, top, right - left, bottom - top, ...place);
    return other;
  }

  /** What the sheet says to those who do not see it. */
  get about() {
    const { column, row, isDown } = this.pen;
    return `Pen ${isDown ? "down" : "up"}, column ${column + 1}, row ${row + 1}`;
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect(),
      scale = this.canvas.width / box.width;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  }

  #line(from, to) {
    const { context } = this;
    context.strokeStyle = "#fff";
    context.lineCap = context.lineJoin = "round";
    // About as thick as strokes are in small pictures.
    context.lineWidth = Math.max(22, (0.9 * this.canvas.width) / this.side);
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
  }

  #press(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], " ": [0, 0] };
    if (!(event.key in moves) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const { pen } = this,
      from = this.#middle();
    if (event.key === " ") pen.isDown = !pen.isDown;
    const within = (value) => Math.max(0, Math.min(this.side - 1, value));
    pen.column = within(pen.column + moves[event.key][0]);
    pen.row = within(pen.row + moves[event.key][1]);
    if (pen.isDown) this.#line(from, this.#middle());
    this.canvas.setAttribute("aria-label", `Sheet to draw on. ${this.about}`);
  }

  /** Where the pen is on the canvas. */
  #middle() {
    const step = this.canvas.width / this.side;
    return { x: (this.pen.column + 0.5) * step, y: (this.pen.row + 0.5) * step };
  }
}
