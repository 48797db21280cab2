// Rows, drawn only near the window: ten thousand scroll like ten.

import { h, icon } from "./feed.js";

const CHUNK = 12;

const chunks = new IntersectionObserver(
	(entries) => entries.forEach((entry) => (entry.isIntersecting ? entry.target.draw() : entry.target.clear())),
	{ rootMargin: "800px 0px" },
);

/** A list of rows within `root`. `tag`: what a row is made of. */
export class List {
	#root;
	#tag;
	#feed;
	#rows = [];

	constructor(root, tag, feed) {
		this.#root = root;
		this.#tag = tag;
		this.#feed = feed;
	}

	show(rows) {
		if (rows.length === this.#rows.length && rows.every((row, at) => row === this.#rows[at])) return;
		this.#rows.forEach((row) => (row.drawn = null));
		this.#rows = rows;
		for (const old of this.#root.children) chunks.unobserve(old);
		const parts = [];
		for (let start = 0; start < rows.length; start += CHUNK) parts.push(this.#chunk(rows, start));
		this.#root.replaceChildren(...parts);
		parts.forEach((part) => chunks.observe(part));
	}

	#chunk(rows, start) {
		const mine = rows.slice(start, start + CHUNK);
		const chunk = h("div", { class: "chunk", role: "none" });
		chunk.style.setProperty("--n", mine.length);
		chunk.draw = () => {
			if (chunk.firstChild) return;
			chunk.append(...mine.map((row, at) => this.#item(row, start + at + 1, rows.length)));
		};
		chunk.clear = () => {
			if (!chunk.firstChild || chunk.contains(document.activeElement)) return;
			mine.forEach((row) => (row.drawn = null));
			chunk.replaceChildren();
		};
		// What is first in sight is there before the first frame.
		if (start === 0) chunk.draw();
		return chunk;
	}

	#item(row, at, of) {
		row.drawn = draw(this.#tag);
		fill(row, this.#feed);
		row.drawn.body.row = row;
		return h("div", { role: "listitem", "aria-posinset": at, "aria-setsize": of }, row.drawn.body);
	}
}

const hidden = (text) => h("span", { class: "vh" }, text);

/** The elements of a row; in the order in which they are read out. */
export function draw(tag) {
	const use = icon("free", "shape");
	const parts = {
		use: use.firstChild, lamp: h("span", { class: "lamp" }, use, icon("clock", "clock")),
		name: h("span", { class: "name" }), number: h("span", { class: "number" }), site: hidden(""),
		label: h("span", {}), more: h("span", {}), mail: h("span", { class: "mail" }), seen: {},
	};
	parts.words = h("span", { class: "words" }, parts.label, parts.more);
	parts.ext = h("span", { class: "ext" }, hidden(", extension "), parts.number);
	parts.body = h(tag, tag === "button" ? { type: "button" } : {}, parts.lamp, parts.name, parts.ext, parts.site, parts.words, parts.mail);
	return parts;
}

/** Brings a drawn row up to date, touching what differs alone. */
export function fill(row, feed) {
	const parts = row.drawn;
	if (!parts) return;
	const view = feed.view(row);
	const set = (what, value, change) => parts.seen[what] !== value && ((parts.seen[what] = value), change(value));
	set("class", `row s-${view.shape}${view.stale ? " stale" : ""}`, (value) => (parts.body.className = value));
	set("shape", view.shape, (value) => parts.use.setAttribute("href", "#" + value));
	set("name", row.name, (value) => (parts.name.textContent = value));
	set("ext", row.ext, (value) => ((parts.number.textContent = value), (parts.ext.hidden = !value)));
	set("site", row.site, (value) => (parts.site.textContent = `, ${value}, `));
	set("label", view.label, (value) => (parts.label.textContent = value));
	set("more", view.stale || row.drawn.body.type ? view.more : "", (value) => (parts.more.textContent = value));
	set("mail", view.shape === "mail" ? "" : `${view.mail || ""}${view.mailStale ? "~" : ""}`, () => {
		parts.mail.replaceChildren();
		if (!view.mail || view.shape === "mail") return;
		const old = view.mailStale ? ", not up to date" : "";
		parts.mail.append(hidden(", "), icon("mail", ""), `${view.mail}`, hidden(` new ${view.mail === 1 ? "message" : "messages"}${old}`));
	});
}
