// The bytes in hexadecimal, coloured by their scores. Only the lines in sight exist.

import { fullScore, shade } from "./heat.js";

const LINE = 20; // pixels, as in page.css
const TALLEST = 8_000_000; // pixels; browsers lose count not far above this
const SPARE = 4; // lines drawn outside of what is seen

export class HexView {
  /** @param {HTMLElement} box that scrolls @param {HTMLElement} note where the byte under the cursor is described */
  constructor(box, note) {
    this.box = box;
    this.note = note;
    this.room = document.createElement("div");
    this.room.className = "room";
    box.replaceChildren(this.room);
    this.data = new Uint8Array(0);
    box.addEventListener("scroll", () => this.#draw(), { passive: true });
    box.addEventListener("keydown", (event) => this.#press(event));
    box.addEventListener("click", (event) => {
      const at = event.target.closest?.("[data-at]");
      if (at) this.go(Number(at.dataset.at));
    });
    new ResizeObserver(() => this.#layOut()).observe(box);
  }

  /** @param {Uint8Array} data @param {Float32Array | null} scores one a byte */
  show(data, scores = null) {
    const isOther = data !== this.data;
    this.data = data;
    this.scores = scores;
    this.full = scores ? fullScore(scores) : 1;
    if (isOther) {
      this.cursor = 0;
      this.note.textContent = "";
      this.box.scrollTop = 0;
    }
    this.#layOut();
  }

  /** Moves the cursor to a byte and shows it. */
  go(at) {
    this.cursor = Math.max(0, Math.min(at, this.data.length - 1));
    const top = Math.floor(this.cursor / this.columns),
      lines = Math.floor(this.box.clientHeight / LINE);
    const first = this.#firstLine();
    if (top < first || top > first + lines - 2) this.#scrollTo(Math.max(0, top - Math.floor(lines / 2)));
    this.#draw();
    const value = this.data[this.cursor];
    const score = this.scores ? `, score ${signed(this.scores[this.cursor])}` : "";
    this.note.textContent = `Byte ${this.cursor} (0x${hex(this.cursor, 1)}): 0x${hex(value, 2)} = ${value}${score}`;
  }

  #layOut() {
    this.columns = this.box.clientWidth >= 620 ? 16 : 8;
    this.lines = Math.ceil(this.data.length / this.columns);
    this.tall = Math.min(this.lines * LINE, TALLEST);
    this.room.style.height = `${this.tall}px`;
    this.#draw();
  }

  /** Lines above the first one in sight. Where all would be too tall, scrolling is scaled. */
  #firstLine() {
    const most = Math.max(1, this.tall - this.box.clientHeight);
    const beyond = Math.max(0, this.lines - Math.floor(this.box.clientHeight / LINE));
    return this.lines * LINE <= TALLEST
      ? Math.floor(this.box.scrollTop / LINE)
      : Math.round((this.box.scrollTop / most) * beyond);
  }

  #scrollTo(line) {
    const most = Math.max(1, this.tall - this.box.clientHeight);
    const beyond = Math.max(1, this.lines - Math.floor(this.box.clientHeight / LINE));
    this.box.scrollTop = this.lines * LINE <= TALLEST ? line * LINE : (line / beyond) * most;
  }

  #draw() {
    const first = this.#firstLine();
    const top = this.lines * LINE <= TALLEST ? first * LINE : this.box.scrollTop;
    const count = Math.ceil(this.box.clientHeight / LINE) + 1;
    const rows = [];
    for (let line = Math.max(0, first - SPARE); line < Math.min(this.lines, first + count + SPARE); line++) {
      const row = this.#row(line);
      row.style.top = `${top + (line - first) * LINE}px`;
      rows.push(row);
    }
    this.room.replaceChildren(...rows);
  }

  #row(line) {
    const start = line * this.columns,
      end = Math.min(start + this.columns, this.data.length);
    const row = element("div", "row"),
      texts = [];
    row.append(element("span", "offset", hex(start, 8)));
    for (let at = start; at < start + this.columns; at++) {
      if (at >= end) {
        row.append(element("b", at - start === 8 ? "gap" : "", "  "));
        continue;
      }
      const value = this.data[at];
      const kind = (this.scores ? shade(this.scores[at], this.full) : "") + (at === this.cursor ? " cursor" : "");
      const cell = element("b", kind + (at - start === 8 ? " gap" : ""), hex(value, 2));
      const text = element("i", kind, value >= 32 && value < 127 ? String.fromCharCode(value) : "·");
      cell.dataset.at = text.dataset.at = at;
      row.append(cell);
      texts.push(text);
    }
    texts[0]?.classList.add("gap");
    row.append(...texts);
    return row;
  }

  #press(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / LINE) - 1) * this.columns;
    const steps = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -this.columns,
      ArrowDown: this.columns,
      PageUp: -page,
      PageDown: page,
      Home: -this.data.length,
      End: this.data.length,
    };
    if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.go((this.cursor ?? 0) + steps[event.key]);
  }
}

function element(name, kind, text = "") {
  const made = document.createElement(name);
  if (kind.trim()) made.className = kind.trim();
  made.textContent = text;
  return made;
}

function hex(value, digits) {
  return value.toString(16).padStart(digits, "0");
}

export function signed(score) {
  return `${score < 0 ? "−" : "+"}${Number(Math.abs(score).toPrecision(3))}`;
}
