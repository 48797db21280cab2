// `/mesh`: nodes and links for those who run them; in the demo, also faults to provoke.

import { Feed, byId, clock, drawing, h, icon, say, span, svg, title } from "./feed.js";

const LOG = 200;
const demo = document.body.dataset.demo === "true";
const standings = new Map();
let stage = null; // what the demo says
let told = 0;

const feed = new Feed({ rows: () => drawFacts(), row: () => {}, beat: drawBeat, line: drawLine, tick: () => {} });

function drawBeat(beat) {
	byId("node").textContent = beat.status.node;
	for (const peer of beat.peers) {
		const now = peer.left ? "left" : peer.standing + (peer.connected ? "" : ", not connected");
		const before = standings.get(peer.replica);
		if (!demo && before !== now) log(clock(feed.now()), before ? `${peer.node}: ${before} → ${now}` : `${peer.node} is ${now}`);
		standings.set(peer.replica, now);
	}
	drawAll();
}

function drawLine(line) {
	if (line === "lost") log(clock(Date.now()), "no connection to the node");
	drawAll();
}

function drawAll() {
	drawFacts();
	drawNodes();
	drawGraph();
}

function drawFacts() {
	if (!feed.beat) return;
	const { status } = feed.beat;
	const [alive, all] = feed.touch;
	let stale = 0, lamps = 0;
	for (const row of feed.rows) if (row.device) lamps++, (stale += feed.view(row).stale);
	const facts = [
		["Nodes in touch", `${alive} of ${all}`, alive === feed.beat.peers.length + 1],
		["Lamps", stale ? `${lamps}, ${stale} not live` : `${lamps}, all live`, !stale],
	];
	if (stage) {
		const running = stage.nodes.filter((node) => node.running);
		const { size } = new Set(running.map((node) => node.digest));
		facts.push(["Digests", size === 1 ? `equal on all ${running.length}` : `${size} different`, size === 1]);
		facts.push(["A change is everywhere in", stage.median_ms == null ? "–" : `${ms(stage.median_ms)}, at worst ${ms(stage.p99_ms)}`, true]);
	} else facts.push(["Digest", status.digest.slice(0, 8), true], ["Ready", status.ready ? "yes" : "not yet", status.ready]);
	byId("facts").replaceChildren(...facts.map(([name, text, good]) =>
		h("div", { class: good && feed.live ? "fact" : "fact bad" }, h("span", { class: "dim" }, name), h("b", {}, feed.live ? text : "not known"))));
}

const ms = (value) => (value < 10 ? value.toFixed(1) : Math.round(value)) + " ms";

/** All nodes as one list: our own first. */
function nodes() {
	if (!feed.beat) return [];
	const { status, peers } = feed.beat;
	const all = [{ ...status, own: true, standing: "alive", connected: true, entries: null }, ...peers].map((node) => ({ ...node, ...stage?.nodes.find((known) => known.node === node.node) }));
	for (const node of stage?.nodes ?? []) if (!all.some((known) => known.node === node.node)) all.push({ ...node, standing: "gone", connected: false });
	return all;
}

function standing(node) {
	if (!feed.live) return ["unknown", "Not known"];
	if (node.running === false) return ["offline", "Killed"];
	if (node.own) return ["free", "This node"];
	if (node.left) return ["offline", "Left"];
	if (node.standing === "alive") return ["free", "In touch"];
	const age = node.age_ms == null ? "" : `, ${span(node.age_ms)}`;
	return node.standing === "suspect" ? ["ringing", "Suspect" + age] : ["offline", "Gone" + age];
}

function drawNodes() {
	const columns = ["Node", "Standing", "Link", "RTT", "Clock", "Entries", "Digest", "Version"];
	if (stage) columns.splice(6, 0, "Lamps here");
	const heads = byId("heads");
	if (heads.children.length !== columns.length) heads.replaceChildren(...columns.map((name) => h("th", { scope: "col" }, name)));
	const all = nodes();
	const rows = byId("rows");
	while (rows.children.length > all.length) rows.lastChild.remove();
	all.forEach((node, at) => {
		const [shape, text] = standing(node);
		const number = (value, unit) => (feed.live && value != null ? `${value} ${unit}` : "–");
		const cells = {
			Node: title(node.node), Standing: text, Link: node.own ? "–" : !feed.live ? "not known" : node.connected ? "connected" : "not connected", RTT: number(node.rtt_ms, "ms"),
			Clock: number(node.clock_skew_ms, "ms"), Entries: node.entries ?? "–", Digest: (node.running !== false && node.digest?.slice(0, 8)) || "–", Version: node.version ?? "–",
			"Lamps here": node.running === false ? "–" : doubts(node),
		};
		const known = JSON.stringify([shape, cells]);
		let row = rows.children[at];
		if (row?.known === known) return;
		const drawn = h("tr", { class: "s-" + shape }, ...columns.map((name, column) => {
			if (!column) return h("th", { scope: "row" }, h("span", { class: "lamp small" }, icon(shape, "shape")), cells[name]);
			const split = name === "Digest" && stage && node.running !== false && node.digest !== stage.nodes.find((other) => other.running)?.digest;
			return h("td", split ? { class: "bad" } : {}, split ? "≠ " + cells[name] : cells[name]);
		}));
		drawn.known = known;
		row ? row.replaceWith(drawn) : rows.append(drawn);
	});
}

function doubts(node) {
	return [node.stale && node.stale + " stale", node.gone && node.gone + " gone"].filter(Boolean).join(", ") || "all live";
}

/** Nodes on a circle; a line for each link that is known. */
function drawGraph() {
	const all = nodes().slice(0, 24);
	const at = all.map((_, n) => {
		const angle = (2 * Math.PI * n) / all.length - Math.PI / 2;
		return [240 + Math.cos(angle) * 175, 179 + Math.sin(angle) * 122];
	});
	const lines = [];
	const link = (a, b) => {
		if (!feed.live) return "old";
		const [x, y] = [all[a], all[b]];
		if (stage) return x.running === false || y.running === false ? "" : x.side !== y.side ? "cut" : "up";
		return a === 0 ? (y.connected ? "up" : "cut") : "";
	};
	let up = 0, cut = 0;
	for (let a = 0; a < all.length; a++)
		for (let b = a + 1; b < all.length; b++) {
			const state = link(a, b);
			if (!state) continue;
			up += state === "up";
			cut += state === "cut";
			const [[x1, y1], [x2, y2]] = [at[a], at[b]];
			lines.push(svg("line", { x1, y1, x2, y2, class: "link " + state }));
			const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
			if (state === "cut") lines.push(svg("path", { d: `M${x - 6} ${y - 6}l12 12m0-12-12 12`, class: "cross" }));
		}
	const marks = all.map((node, n) => {
		const [shape] = standing(node);
		const [x, y] = at[n];
		return svg("g", { class: "s-" + shape, transform: `translate(${x} ${y})` }, svg("rect", { x: -21, y: -21, width: 42, height: 42, rx: 10, class: "plate" }),
			svg("svg", { x: -14, y: -14, width: 28, height: 28, viewBox: "0 0 24 24", class: "shape" }, ...drawing(shape)), svg("text", { y: y < 80 ? -29 : 38 }, title(node.node)));
	});
	const label = `${all.length} nodes, ${up} links up${cut ? `, ${cut} cut` : ""}`;
	byId("graph").replaceChildren(svg("svg", { viewBox: "0 0 480 350", role: "img", "aria-label": label, class: "graph" }, ...lines, ...marks), h("p", { class: "dim" }, label));
}

function log(time, text) {
	const list = byId("log");
	list.prepend(h("li", {}, h("time", {}, time), " ", text));
	list.children[LOG]?.remove();
}

if (demo) stageUp();

/** Cuts, heals, kills, and weather: they act on the nodes of the demo. */
function stageUp() {
	byId("demo").hidden = false;
	const act = async (what, body) => {
		const answer = await fetch("/api/v1/demo/" + what, { method: "POST", body: JSON.stringify(body ?? {}) }).catch(() => null);
		if (!answer?.ok) say(note((await answer?.json())?.detail ?? "The demo does not answer."));
		else note("");
		await look();
	};
	const problem = h("p", { class: "bad" });
	const note = (text) => (problem.textContent = text);
	const button = (text, what, body, more) => {
		const element = h("button", { type: "button", ...more }, text);
		element.onclick = () => act(what, body);
		return element;
	};
	const phase = h("p", { role: "status" });
	const cut = button("Cut the network in two", "cut", {}, { class: "warn" });
	const last = h("p", { class: "dim" });
	const heal = button("Heal", "heal", {}, { class: "good" });
	const call = button("Ring a phone", "call");
	const kills = h("div", { class: "kills", role: "group", "aria-label": "Kill or revive a node" });
	const slider = (name, id, most, step, unit) => {
		const out = h("output", { for: id }, `0 ${unit}`);
		const input = h("input", { type: "range", id, min: 0, max: most, step, value: 0 });
		input.oninput = () => (out.textContent = `${input.value} ${unit}`);
		input.onchange = () => act("weather", { latency_ms: +latency.input.value, loss_percent: +loss.input.value });
		return { input, out, element: h("div", { class: "slider" }, h("label", { for: id }, name), input, out), show(value) {
			if (document.activeElement !== input) (input.value = value), (out.textContent = `${value} ${unit}`);
		} };
	};
	const latency = slider("Latency, each way", "latency", 100, 5, "ms");
	const loss = slider("Gossip lost", "loss", 90, 5, "%");
	byId("controls").append(phase, h("div", { class: "acts" }, cut, heal, call), kills, latency.element, loss.element, last, problem);

	async function look() {
		try {
			stage = await (await fetch("/api/v1/demo")).json();
		} catch {
			return; // the strip tells
		}
		phase.textContent = { whole: "The network is whole.", cut: "The network is cut in two: far lamps go stale, each side goes on by itself.", healing: "The network is whole again; the nodes exchange what they missed." }[stage.phase];
		cut.disabled = stage.phase !== "whole";
		heal.disabled = stage.phase !== "cut";
		last.textContent = stage.last && `Last change: ${stage.last}`;
		latency.show(stage.latency_ms);
		loss.show(stage.loss_percent);
		if (kills.children.length !== stage.nodes.length) kills.replaceChildren(...stage.nodes.map(() => h("button", { type: "button" })));
		stage.nodes.forEach((node, at) => {
			const element = kills.children[at];
			element.textContent = `${node.running ? "Kill" : "Revive"} ${title(node.node)}`;
			element.className = node.running ? "" : "good";
			element.onclick = () => act(node.running ? "kill" : "revive", { node: node.node });
		});
		for (const line of stage.log) if (line.number > told) (told = line.number), log(line.at, line.text);
		drawAll();
	}
	look();
	setInterval(() => document.hidden || look(), 1000);
}
