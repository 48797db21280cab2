// Rows, drawn only near the window: ten thousand scroll like ten.

import { byId, drawing, h, icon } from "./feed.js";

const CHUNK = 4; // see .chunk
const AHEAD = 0.6; // of a window is drawn beyond it
const A_FRAME = 3; // chunks of that at a time, so that none is long
const TOO_FAST = 30; // pixels a frame to read; a pulse takes a layer
const spare = []; // chunks to fill anew
const lists = new Set();
let looking = 0;
let before = 0; // scrolled so far, a frame ago

/** By the next frame what is in sight is drawn. */
export const look = () => (looking ||= requestAnimationFrame(draw));
addEventListener("scroll", look, { passive: true });
addEventListener("resize", look);

function draw() {
	looking = 0;
	const fast = Math.abs(scrollY - before) > TOO_FAST;
	before = scrollY;
	document.body.classList.toggle("fast", fast);
	if (fast) look();
	let left = A_FRAME;
	const seen = [...lists].map((list) => list.seen());
	const most = Math.max(0, ...seen.map(({ beyond }) => beyond));
	for (const { list, first, last } of seen) list.leave(first - most - 1, last + most + 1);
	for (let step = 0; step <= most; step++)
		for (const { list, first, last } of seen)
			for (let at = Math.max(0, first - step); at <= last + step; at++) {
				if (!list.lacks(at)) continue;
				if (step && !left--) return look();
				list.draw(at);
			}
}

/** A list of rows within `root`. `tag`: what a row is made of. */
export class List {
	#root;
	#tag;
	#feed;
	#rows = [];
	#drawn = new Map(); // number -> chunk

	constructor(root, tag, feed) {
		this.#root = root;
		this.#tag = tag;
		this.#feed = feed;
		lists.add(this);
	}

	/** Which chunks would be in sight, were there no end to them. */
	seen() {
		if (!this.#root.isConnected) lists.delete(this);
		const { top, height } = this.#root.getBoundingClientRect();
		const each = (height / this.#rows.length) * CHUNK || NaN; // a folded list has none
		const at = (y) => Math.floor((y - top) / each);
		return { list: this, first: at(0), last: at(innerHeight), beyond: Math.ceil((innerHeight * AHEAD) / each) || 0 };
	}

	show(rows) {
		look();
		if (rows.length === this.#rows.length && rows.every((row, at) => row === this.#rows[at])) return;
		this.#rows.forEach((row) => (row.drawn = null));
		this.#rows = rows;
		this.#root.style.height = `calc(var(--row) * ${rows.length})`;
		// The first are there at once.
		for (const number of new Set([...this.#drawn.keys(), 0, 1, 2])) this.#mine(number).length ? this.draw(number) : this.#clear(number);
	}

	lacks(number) {
		return !this.#drawn.has(number) && number * CHUNK < this.#rows.length;
	}

	leave(first, last) {
		for (const [number, chunk] of this.#drawn) if ((number < first || number > last) && !chunk.contains(document.activeElement)) this.#clear(number);
	}

	draw(number) {
		const chunk = this.#drawn.get(number) ?? spare.pop() ?? h("div", { class: "chunk", role: "none" });
		const mine = this.#mine(number);
		mine.forEach((row, at) => {
			const item = chunk.children[at] ?? chunk.appendChild(this.#item());
			row.drawn = item.parts;
			row.drawn.body.row = row;
			fill(row, this.#feed);
			item.setAttribute("aria-posinset", number * CHUNK + at + 1);
			item.setAttribute("aria-setsize", this.#rows.length);
		});
		while (chunk.children.length > mine.length) chunk.lastChild.remove();
		if (this.#drawn.has(number)) return;
		this.#drawn.set(number, chunk);
		chunk.number = number;
		chunk.style.top = `calc(var(--row) * ${number * CHUNK})`;
		// In the order of reading.
		this.#root.insertBefore(chunk, [...this.#root.children].find((other) => other.number > number) ?? null);
	}

	#mine(number) {
		return this.#rows.slice(number * CHUNK, (number + 1) * CHUNK);
	}

	#clear(number) {
		const chunk = this.#drawn.get(number);
		if (!chunk) return;
		this.#mine(number).forEach((row) => (row.drawn = null));
		this.#drawn.delete(number);
		chunk.remove();
		spare.push(chunk);
	}

	#item() {
		const parts = parted(this.#tag);
		const item = this.#tag === "button" ? h("div", {}, parts.body) : parts.body;
		item.setAttribute("role", "listitem");
		item.parts = parts;
		return item;
	}
}

const mute = (text) => h("i", {}, text);

/** The elements of a row; in the order in which they are read out. */
export function parted(tag) {
	const shape = icon("free", "shape");
	const parts = {
		shape, lamp: h("span", { class: "lamp" }, shape), name: h("span", { class: "name" }), before: mute(""), ext: new Text(), site: mute(""),
		label: h("span", {}), more: h("span", {}), mail: h("span", { class: "mail" }), seen: {},
	};
	parts.words = h("span", { class: "words" }, parts.label, parts.more);
	parts.body = h(tag, tag === "button" ? { type: "button" } : {}, parts.lamp, parts.name, h("span", { class: "ext" }, parts.before, parts.ext, parts.site), parts.words, parts.mail);
	return parts;
}

/** Brings a drawn row up to date, touching what differs alone. */
export function fill(row, feed) {
	const parts = row?.drawn;
	if (!parts) return;
	const view = feed.view(row);
	const set = (what, value, change) => parts.seen[what] !== value && ((parts.seen[what] = value), change(value));
	const text = (what, value) => set(what, value, () => (parts[what].textContent = value));
	const mail = view.shape === "mail" ? 0 : view.mail;
	if (view.stale && !parts.clock) parts.lamp.append((parts.clock = icon("clock", "clock")));
	set("class", `row s-${view.shape}${view.stale ? " stale" : ""}${mail ? " mailed" : ""}`, (value) => (parts.body.className = value));
	set("shape", view.shape, (value) => parts.shape.replaceChildren(...drawing(value)));
	text("name", row.name);
	text("before", row.ext && ", extension ");
	text("ext", row.ext);
	text("site", `, ${row.site}, `);
	text("label", view.label);
	text("more", view.stale || parts.body.type ? feed.more(view) : "");
	const news = ` new message${mail === 1 ? "" : "s"}${view.mailStale ? ", not up to date" : ""}`;
	set("mail", mail && mail + news, () => parts.mail.replaceChildren(...(mail ? [mute(", "), icon("mail", ""), mail, mute(news)] : [])));
}

/** Puts the sites in order, if they are not. */
export function place(elements) {
	const root = byId("sites");
	if (elements.some((element, at) => element !== root.children[at])) root.replaceChildren(...elements);
}

/** Brings all drawn rows up to date. */
export function refill(feed) {
	for (const { row } of document.querySelectorAll(".row")) fill(row, feed);
}
