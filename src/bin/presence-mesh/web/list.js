// Rows, drawn only near the window: ten thousand scroll like ten.

import { byId, h, icon } from "./feed.js";

const CHUNK = 12; // see .chunk
const spare = []; // items that went out of sight, to be filled anew

const chunks = new IntersectionObserver(
	(entries) => entries.forEach(({ isIntersecting, target }) => (isIntersecting ? target.draw() : target.clear())),
	{ rootMargin: "100%" },
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
		const all = this.#root.children;
		const wanted = Math.ceil(rows.length / CHUNK);
		while (all.length > wanted) {
			chunks.unobserve(this.#root.lastChild);
			spare.push(...this.#root.lastChild.children);
			this.#root.lastChild.remove();
		}
		const added = Array.from({ length: wanted - all.length }, (_, at) => this.#chunk(all.length + at));
		this.#root.append(...added);
		added.forEach((chunk) => chunks.observe(chunk));
		// What is first in sight is there before the first frame.
		for (const chunk of all) if (chunk.firstChild || chunk === all[0]) chunk.draw();
	}

	#chunk(number) {
		const chunk = h("div", { class: "chunk", role: "none" });
		const mine = () => this.#rows.slice(number * CHUNK, (number + 1) * CHUNK);
		chunk.draw = () => {
			mine().forEach((row, at) => {
				const item = chunk.children[at] ?? chunk.appendChild(spare.pop() ?? this.#item());
				row.drawn = item.parts;
				row.drawn.body.row = row;
				fill(row, this.#feed);
				item.setAttribute("aria-posinset", number * CHUNK + at + 1);
				item.setAttribute("aria-setsize", this.#rows.length);
			});
			while (chunk.children.length > mine().length) spare.push(chunk.removeChild(chunk.lastChild));
		};
		chunk.clear = () => {
			if (chunk.contains(document.activeElement)) return;
			mine().forEach((row) => (row.drawn = null));
			spare.push(...chunk.children);
			chunk.replaceChildren();
		};
		return chunk;
	}

	#item() {
		const parts = draw(this.#tag);
		const item = h("div", { role: "listitem" }, parts.body);
		item.parts = parts;
		return item;
	}
}

const hidden = (text) => h("span", { class: "vh" }, text);

/** The elements of a row; in the order in which they are read out. */
export function draw(tag) {
	const use = icon("free", "shape");
	const parts = {
		use: use.firstChild, lamp: h("span", { class: "lamp" }, use),
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
	if (view.stale && !parts.clock) parts.lamp.append((parts.clock = icon("clock", "clock")));
	set("class", `row s-${view.shape}${view.stale ? " stale" : ""}`, (value) => (parts.body.className = value));
	set("shape", view.shape, (value) => parts.use.setAttribute("href", "#" + value));
	set("name", row.name, (value) => (parts.name.textContent = value));
	set("ext", row.ext, (value) => ((parts.number.textContent = value), (parts.ext.hidden = !value)));
	set("site", row.site, (value) => (parts.site.textContent = `, ${value}, `));
	set("label", view.label, (value) => (parts.label.textContent = value));
	set("more", view.stale || parts.body.type ? feed.more(view) : "", (value) => (parts.more.textContent = value));
	set("mail", view.shape === "mail" ? "" : `${view.mail || ""}${view.mailStale ? "~" : ""}`, () => {
		parts.mail.replaceChildren();
		if (!view.mail || view.shape === "mail") return;
		const old = view.mailStale ? ", not up to date" : "";
		parts.mail.append(hidden(", "), icon("mail", ""), `${view.mail}`, hidden(` new ${view.mail === 1 ? "message" : "messages"}${old}`));
	});
}

/** Puts the sites in order, if they are not. */
export function place(elements) {
	const root = byId("sites");
	if (elements.some((element, at) => element !== root.children[at])) root.replaceChildren(...elements);
}

/** Brings all drawn rows up to date. */
export function refill(feed) {
	for (const { row } of document.querySelectorAll(".row")) if (row) fill(row, feed);
}
