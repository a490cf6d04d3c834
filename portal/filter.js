// The filter box of the live page: what is typed becomes the watch, soon. A mistake is shown where it stands, and the
// server says what the filter costs.

import { clip, make } from "/_assets/view.js";

const TYPING_MS = 400; // after the last key
const NAMES = ["filter", "fields"];

/** What is watched of the address; it is in the page's own address too, to be kept and passed on. */
export class FilterBox {
  #form; #mistake; #cost; #apply; #timer; #applied;

  /** @param {HTMLFormElement} form @param {() => void} apply the view is another one */
  constructor(form, apply) {
    [this.#form, this.#apply] = [form, apply];
    [this.#mistake, this.#cost] = ["mistake", "cost"].map((part) => form.querySelector(`[data-part="${part}"]`));
    const query = new URLSearchParams(location.search);
    for (const name of NAMES) form[name].value = query.get(name) ?? "";
    this.#applied = JSON.stringify(this.view);
    form.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#changed(), TYPING_MS);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#changed();
    });
    form.hidden = false;
  }

  /** The options of the watch. @returns {{filter?: string, fields?: string}} */
  get view() {
    const given = NAMES.map((name) => [name, this.#form[name].value.trim()]);
    return Object.fromEntries(given.filter(([, text]) => text));
  }

  /** What is shown is what was asked for. */
  clear() {
    this.#show(null);
    this.#cost.replaceChildren();
  }

  /** A watch with this view began. @param {{index?: string}} begin */
  began({ index }, { filter }) {
    if (!filter) this.#cost.replaceChildren();
    else if (index) this.#cost.replaceChildren("Indexed by ", make("code", "", clip(index)), ": an event costs one lookup for all such watches, however many there are.");
    else this.#cost.replaceChildren("Evaluated for each event of this address, once for all who watch with it. A filter with ", make("code", "", 'data.… == "…"'), " or ", make("code", "", "in"), " would be looked up instead.");
  }

  /** A watch with this view was refused; `goesOn`: what was shown before does. */
  refused({ title, detail, hint, column }, { filter }, goesOn) {
    this.#cost.replaceChildren(goesOn ? "What is shown is as it was before." : "");
    this.#show([make("span", "", detail ?? title ?? ""), ...(column && filter ? [marked(filter, column)] : []), make("span", "muted", hint ?? "")], column ? "filter" : null);
  }

  #changed() {
    clearTimeout(this.#timer);
    const view = this.view;
    if (JSON.stringify(view) === this.#applied) return;
    this.#applied = JSON.stringify(view);
    const url = new URL(location.href);
    for (const name of NAMES) view[name] ? url.searchParams.set(name, view[name]) : url.searchParams.delete(name);
    history.replaceState(null, "", url);
    this.#apply();
  }

  #show(lines, name) {
    this.#mistake.replaceChildren(...(lines ?? []));
    this.#mistake.hidden = lines === null;
    for (const own of NAMES) this.#form[own].setAttribute("aria-invalid", own === name);
  }
}

/** The filter with the character at a column, from 1; behind its end something is missing. */
function marked(filter, column) {
  const text = Array.from(filter);
  const mark = make("mark", "", text[column - 1] ?? "\u00a0");
  return make("code", "", text.slice(0, column - 1).join(""), mark, text.slice(column).join(""));
}
