// What the node tells, and how far it can be believed: one stream of all lamps, with a beat every second.

const SILENT_MS = 4000; // this long without a beat, and nothing is shown as live
const RETRY_MS = [500, 1000, 2000];
const SHARED = "Shared";

const STATES = {
	NOT_INUSE: ["free", "Free"], RINGING: ["ringing", "Ringing"], INUSE: ["inuse", "On a call"],
	BUSY: ["busy", "Busy"], ONHOLD: ["hold", "On hold"], RINGINUSE: ["ringinuse", "On a call, ringing"],
	UNAVAILABLE: ["offline", "Offline"],
};
const PRESENCE = {
	away: ["away", "Away"], xa: ["away", "Away for long"], dnd: ["away", "Do not disturb"],
	available: ["free", "Free"], chat: ["free", "Free to chat"], unavailable: ["offline", "Offline"],
};
const UNKNOWN = ["unknown", "Unknown"];
const CALLS = new Set(["ringing", "inuse", "busy", "hold", "ringinuse"]);

export const byId = (id) => document.getElementById(id);

const made = (element, attributes, children) => {
	for (const name in attributes) element.setAttribute(name, attributes[name]);
	element.append(...children);
	return element;
};
export const h = (tag, attributes, ...children) => made(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => made(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** A shape's parts: a `use` makes a tree of its own. */
export const drawing = (name) => byId(name).cloneNode(true).childNodes;
export const icon = (name, kind) => svg("svg", { class: kind, viewBox: "0 0 24 24", "aria-hidden": "true" }, ...drawing(name));

/** `42 s`, `3 min`: whole, rounded down, as nobody reads more at a glance. */
export function span(ms) {
	const seconds = Math.max(0, Math.floor(ms / 1000));
	for (const [of, unit] of [[86400, " d"], [3600, " h"], [60, " min"]]) if (seconds >= of) return Math.floor(seconds / of) + unit;
	return seconds + " s";
}

export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
export const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
export const title = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** What a contribution says, in words. */
export function value(part) {
	if (part.state) return (STATES[part.state] ?? UNKNOWN)[1];
	if (part.status) return (PRESENCE[part.status] ?? UNKNOWN)[1];
	return `${part.new} new, ${part.old} old`;
}

const tail = (key) => key.slice(Math.max(key.lastIndexOf("/"), key.lastIndexOf(":")) + 1);
const order = new Intl.Collator("en", { numeric: true });

/** Calls back: `rows` when keys came or went, `row` when one changed, `beat`, `line` when the connection did, `tick`. */
export class Feed {
	rows = [];
	beat = null;
	line = "connecting"; // then live, lost, live, …
	#on;
	#people = new Map();
	#named;
	#spaces = new Map();
	#rowOf = new Map(); // "space key" -> row
	#told = new Set(); // spaces of which this connection has told all
	#source = null;
	#heard = [0, 0];
	#since = Date.now();
	#offset = 0;
	#failures = 0;
	#opened = 0;
	#retry = 0;
	#sorting = 0;

	constructor(on) {
		this.#on = on;
		this.#named = this.#directory();
		this.#open();
		setInterval(() => this.#tick(), 500);
		// A page nobody sees needs no connection, of which browsers have six to one server.
		document.addEventListener("visibilitychange", () => (document.hidden ? this.#close() : this.#source || this.#open()));
	}

	get live() {
		return this.line === "live";
	}

	/** How many nodes are in touch, and of how many. */
	get touch() {
		const count = (what) => this.beat.peers.filter(what).length + 1;
		return [count((peer) => peer.standing === "alive"), count((peer) => !peer.left)];
	}

	/** The server's time. */
	now() {
		return Date.now() + this.#offset;
	}

	/** Since when the connection is lost. */
	get lostSince() {
		return this.#heard[0] || this.#since;
	}

	/** Shape, words and trust of a row, as they are now. */
	view(row) {
		const { device, presence, mailbox } = row;
		const main = device ?? presence ?? mailbox;
		let [shape, label] = device ? STATES[device.state] ?? UNKNOWN : presence ? PRESENCE[presence.status] ?? UNKNOWN : ["mail", ""];
		const note = device && presence && PRESENCE[presence.status];
		if (note && shape === "free" && note[0] === "away") [shape, label] = note;
		const mail = mailbox?.new ?? 0;
		if (!label) label = mail ? `${mail} new` : "No new messages";
		const lost = !this.live;
		const stale = lost || main.freshness !== "live";
		return { shape, label, main, stale, age: this.age(main), mail, mailStale: mailbox && (lost || mailbox.freshness !== "live"), call: CALLS.has(shape) };
	}

	/** For how long, or how old. */
	more({ main, stale, age, call }) {
		if (stale) return ` · ${main.freshness === "gone" ? "heard " : ""}${span(age)} ago`;
		return call ? ` for ${span(this.now() - Date.parse(main.changed_at))}` : "";
	}

	/** How old what is shown may be, in ms. */
	age(object) {
		if (object.freshness === "live") return this.live ? 0 : Date.now() - this.lostSince;
		return object.age_ms + Date.now() - object.at;
	}

	async #directory() {
		try {
			const answer = await fetch("/api/v1/people");
			for (const person of await answer.json()) this.#people.set(person.key, person);
		} catch {
			this.#people.clear();
		}
	}

	#open() {
		clearTimeout(this.#retry);
		this.#close();
		this.#opened = Date.now();
		const source = (this.#source = new EventSource("/api/v1/panel"));
		const on = (name, act) => source.addEventListener(name, (event) => source === this.#source && act(JSON.parse(event.data)));
		this.#told.clear();
		let spaces = null; // all there are; the first beat comes before the snapshots
		const live = () => source === this.#source && this.#setLine("live");
		const complete = () => spaces?.every((space) => this.#told.has(space));
		on("snapshot", ({ space, all }) => {
			this.#spaces.set(space, new Map(all.map((object) => [object.key, this.#stamp(object)])));
			this.#told.add(space);
			if (complete()) this.#named.then(() => this.#rebuild()).then(live);
		});
		on("change", (change) => this.#change(change));
		on("beat", (beat) => {
			spaces = beat.spaces;
			this.#heard = [Date.now(), performance.now()];
			this.#failures = 0;
			this.#offset = beat.at - Date.now();
			this.beat = beat;
			if (complete()) this.#named.then(live);
			this.#on.beat?.(beat);
		});
		source.onerror = () => {
			if (source !== this.#source) return;
			this.#close();
			this.#retry = setTimeout(() => this.#open(), RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)]);
		};
	}

	#close() {
		this.#source?.close();
		this.#source = null;
		clearTimeout(this.#retry);
		if (this.live) this.#setLine("lost");
	}

	#stamp(object) {
		object.at = Date.now();
		return object;
	}

	#change({ space, key, new: object }) {
		const known = this.#spaces.get(space);
		if (!known) return;
		if (!object) {
			known.delete(key);
			return this.#resort();
		}
		known.set(key, this.#stamp(object));
		const row = this.#rowOf.get(space + " " + key);
		if (!row) return this.#resort();
		row[space] = object;
		this.#on.row?.(row, space);
	}

	#resort() {
		this.#sorting ||= setTimeout(() => this.#rebuild(), 250);
	}

	/** Who is shown: each device, with the mailbox and the presence of its number; then what has no device. */
	#rebuild() {
		clearTimeout(this.#sorting);
		this.#sorting = 0;
		this.#rowOf.clear();
		const rows = [];
		const byNumber = new Map();
		for (const space of ["device", "presence", "mailbox"]) {
			for (const [key, object] of this.#spaces.get(space) ?? []) {
				const number = space === "mailbox" ? key.replace(/@.*/, "") : tail(key);
				let row = space === "device" ? null : byNumber.get(number);
				if (!row || row[space]) {
					row = this.#row(space, key, object, number);
					rows.push(row);
					if (!byNumber.has(row.ext || number)) byNumber.set(row.ext || number, row);
				}
				row[space] = object;
				this.#rowOf.set(space + " " + key, row);
			}
		}
		rows.sort((a, b) => order.compare(a.site, b.site) || order.compare(a.sort, b.sort));
		this.rows = rows;
		this.#on.rows?.(rows);
	}

	#row(space, key, object, number) {
		const person = this.#people.get(key) ?? {};
		const nodes = object.contributions.map((part) => part.node);
		const name = person.name || key;
		const ext = person.extension || (person.name && number !== name ? number : "");
		const site = title(person.site || (new Set(nodes).size > 1 ? SHARED : nodes[0] ?? SHARED));
		return { space, key, name, ext, site, sort: ext || name, hay: plain(`${name} ${ext} ${key} ${site}`) };
	}

	#tick() {
		const [wall, mono] = this.#heard;
		// Both clocks: one may be set, the other stands still while the machine sleeps.
		const silent = Math.max(Date.now() - wall, performance.now() - mono) > SILENT_MS;
		if (this.live && silent) this.#setLine("lost");
		// Open, and nothing comes: a connection that died without a word.
		if (this.#source && Date.now() - Math.max(wall, this.#opened) > 3 * SILENT_MS) this.#open();
		if (this.line === "connecting" && Date.now() - this.#since > SILENT_MS) this.#setLine("lost");
		const strip = byId("strip");
		strip.hidden = this.line !== "lost";
		strip.textContent = `No connection for ${span(Date.now() - this.lostSince)}. Every lamp shows its last known state.`;
		this.#on.tick?.();
	}

	#setLine(line) {
		if (this.line === line) return;
		const before = this.line;
		this.line = line;
		document.body.classList.toggle("lost", line === "lost");
		const pill = byId("pill");
		pill.textContent = line === "live" ? "Live" : "No connection";
		pill.className = "pill " + line;
		if (line === "lost") say("No connection. Every lamp shows its last known state.");
		else if (before === "lost") say("Connected again.");
		this.#on.line?.(line);
		this.#tick();
	}
}

/** Tells those who listen. */
export function say(text) {
	byId("say").textContent = text;
}
