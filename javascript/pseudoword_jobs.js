// The list of jobs: asked for about once a second, answered only where something changed, steered by its buttons.
(() => {
  "use strict";

  const { make, number, bar, inWords, isSeen } = window.pseudoword;
  const { moment, inAbout, button, addressOf, details, comparison } = window.pseudoword.jobs;
  const EVERY_MS = 1500;
  const ROWS = 50;
  const STATES = { waiting: "waiting", running: "running", paused: "paused", finished: "finished", stopped: "stopped", cancelled: "cancelled", failed: "failed" };
  const KINDS = { finished: "good", stopped: "good", failed: "bad", paused: "warn", waiting: "plain", running: "good", cancelled: "plain" };
  const ORDERS = [
    ["pause", "Pause", ["waiting", "running"]],
    ["resume", "Resume", ["paused", "failed"]],
    ["stop", "Stop, keep", ["running", "paused"]],
    ["cancel", "Cancel", ["waiting", "running", "paused"]],
  ];
  // By kind: what it is called, what is counted, and what is lost where it is cancelled.
  const WORK = {
    training: ["Training", "step", "what was learned"],
    layers: ["Layers", "picture", "the pictures that were made"],
    scoring: ["Scores", "picture", "what was scored"],
    indexing: ["Search", "picture", "this entry; what was read stays in the index"],
  };
  const workOf = (job) => WORK[job.kind] ?? WORK.training;
  const isTraining = (job) => job.kind === "training";
  const WHOSE = [["mine", "Mine"], ["all", "Everyone's"]];
  const FILTERS = [["", "All"], ["open", "Not ended"], ["finished", "Finished"], ["failed", "Failed or cancelled"]];

  const asked = { whose: "mine", state: "", search: "", count: ROWS };
  const drawn = new Map(); // by job's id: its row, what it was drawn from, and whether it is unfolded
  const chosen = new Set(); // to be compared
  let etag = "";
  let last = { jobs: [] };

  const place = (name) => document.querySelector(`#pseudoword-jobs .pseudoword-jobs-${name}`);

  const tell = (text) => {
    const status = place("status");
    status.replaceChildren(...(text ? [make("p", "warning", text)] : []));
  };

  const answerOf = async (address, options = {}) => {
    const answer = await fetch(address, { cache: "no-store", ...options });
    if (answer.ok || answer.status === 304) return answer;
    const told = await answer.json().catch(() => ({}));
    throw new Error(typeof told.detail === "string" ? told.detail : `the server answered ${answer.status}`);
  };

  const act = async (job, order, body) => {
    const isDeletion = order === "delete";
    const options = { method: isDeletion ? "DELETE" : "POST" };
    if (body) Object.assign(options, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
    try {
      await answerOf(addressOf(job.id, isDeletion ? "" : `/${order}`), options);
      tell("");
    } catch (problem) {
      tell(problem.message);
    }
    if (isDeletion) chosen.delete(job.id);
    etag = "";
    await look();
    window.pseudoword.buttonCalled("refresh")?.click(); // the list of earlier runs beside the form
  };

  // ---- one row -----------------------------------------------------------------------------------------------------

  const when = (job) => {
    if (job.ended) return `${job.state} ${moment(job.ended)}`;
    if (job.state === "running") return job.seconds_left === null ? "preparing" : `at most ${inWords(job.seconds_left)}`;
    if (job.state === "waiting" && job.place) {
      const begins = job.begins_in === null ? "" : job.begins_in < 1 ? ", begins now" : `, begins in about ${inAbout(job.begins_in)}`;
      const ends = job.ends_in === null ? "" : `, ends in about ${inAbout(job.ends_in)}`;
      return `number ${job.place} in the queue${begins}${ends}`;
    }
    return `asked for ${moment(job.created)}`;
  };

  const figures = (job) => {
    const parts = [];
    const { best_step: step, best_loss: loss, "best likeness": likeness } = job.figures;
    if (step !== undefined) parts.push(`best step ${step}`);
    if (loss !== undefined) parts.push(`validation loss ${number(loss, 3)}`);
    if (likeness !== undefined) parts.push(`likeness ${number(likeness, 3)}`);
    return parts.join(", ");
  };

  // What a job shows of itself: the latest preview, or the first picture that it made or scored.
  const thumbnailOf = (job) => {
    if (job.preview !== null) return addressOf(job.id, `/previews/${job.preview}/small.jpg`);
    const first = { layers: "0/0.png", scoring: "pictures/0.jpg" }[job.kind];
    return first && job.result && job.done ? `pseudoword/v1/${job.result}/${first}` : "";
  };

  const thumbnail = (job) => {
    const box = make("div", "job-thumbnail");
    const source = thumbnailOf(job);
    if (!source) return box;
    const image = document.createElement("img");
    image.loading = "lazy";
    image.alt = "";
    image.src = source;
    image.addEventListener("error", () => image.remove());
    box.append(image);
    return box;
  };

  const orders = (job) => {
    const box = make("div", "job-buttons");
    if (!job.may_steer) return box;
    for (const [order, label, states] of ORDERS) {
      if (!states.includes(job.state)) continue;
      box.append(button(label, () => {
        if (order !== "cancel" || window.confirm(`Cancel ${job.title} and remove ${workOf(job)[2]}?`)) act(job, order);
      }));
    }
    const own = last.jobs.filter((one) => one.state === "waiting" && one.owner === job.owner && one.place);
    const at = own.findIndex((one) => one.id === job.id);
    if (job.state === "waiting" && at > 0) box.append(button("▲", () => act(job, "move", { before: own[at - 1].id }), "pseudoword-job-earlier"));
    if (job.state === "waiting" && at >= 0 && at < own.length - 1) box.append(button("▼", () => act(job, "move", { before: own[at + 2]?.id ?? null }), "pseudoword-job-later"));
    box.querySelector(".pseudoword-job-earlier")?.setAttribute("aria-label", "Earlier");
    box.querySelector(".pseudoword-job-later")?.setAttribute("aria-label", "Later");
    return box;
  };

  const chooser = (job) => {
    const label = make("label", "job-choose", "compare ");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = chosen.has(job.id);
    box.addEventListener("change", () => { box.checked ? chosen.add(job.id) : chosen.delete(job.id); offerComparison(); });
    label.append(box);
    return label;
  };

  const heading = (job, known) => {
    const box = make("div", "job-text");
    const title = make(job.may_look ? "button" : "span", "job-title", job.title);
    if (job.may_look) {
      title.type = "button";
      title.setAttribute("aria-expanded", String(known.isOpen));
      title.addEventListener("click", () => unfold(job.id));
    }
    const line = make("div", "job-line");
    line.append(title, make("span", `mark pseudoword-mark-${KINDS[job.state]}`, STATES[job.state]));
    if (!last.alone) line.append(make("span", "job-owner", job.owner === "you" ? "yours" : `by ${job.owner || "somebody before"}`));
    line.append(make("span", "mark pseudoword-mark-plain", workOf(job)[0]));
    if (job.shared && !last.alone) line.append(make("span", "mark pseudoword-mark-plain", "shared"));
    box.append(line);
    const isUnderWay = ["running", "paused", "waiting"].includes(job.state);
    if (isUnderWay && job.done) box.append(bar(job.done, job.total || 1, `How far ${job.title} is`));
    const steps = isUnderWay && job.done ? `${workOf(job)[1]} ${job.done} of ${isTraining(job) ? "at most " : ""}${job.total}` : "";
    box.append(make("p", "job-facts", [job.about, steps, figures(job), when(job)].filter(Boolean).join(" · ")));
    if (job.says.length) box.append(make("p", "job-says", job.says[0]));
    if (job.message && !["running", "waiting"].includes(job.state)) box.append(make("p", "job-message", job.message));
    return box;
  };

  const drawRow = (job, known) => {
    const head = make("div", "job-head-row");
    const buttons = orders(job);
    if (isTraining(job) && job.may_look && ["finished", "stopped"].includes(job.state)) buttons.append(chooser(job));
    head.append(thumbnail(job), heading(job, known), buttons);
    known.row.querySelector(".pseudoword-job-head-row").replaceWith(head);
  };

  const rowOf = (job) => {
    let known = drawn.get(job.id);
    if (!known) {
      const row = make("article", "job");
      row.dataset.job = job.id;
      row.append(make("div", "job-head-row"), make("div", "job-details"));
      known = { row, isOpen: false, key: "", detail: "" };
      drawn.set(job.id, known);
    }
    const neighbours = job.state === "waiting" ? last.jobs.filter((one) => one.state === "waiting").map((one) => one.id) : [];
    const key = JSON.stringify([job, last.alone, neighbours]);
    if (key !== known.key) drawRow(job, known);
    known.key = key;
    return known.row;
  };

  // ---- unfolded ----------------------------------------------------------------------------------------------------

  const unfold = async (id) => {
    const known = drawn.get(id);
    known.isOpen = !known.isOpen;
    known.detail = "";
    known.key = "";
    if (!known.isOpen) known.row.querySelector(".pseudoword-job-details").replaceChildren();
    draw();
    await lookInto(id);
  };

  const lookInto = async (id) => {
    const known = drawn.get(id);
    if (!known?.isOpen) return;
    try {
      const job = await (await answerOf(addressOf(id))).json();
      const key = JSON.stringify([job.state, job.shared, job.priority, job.previews, job.log.length, isTraining(job) ? Math.floor(job.done / 50) : job.done]);
      if (key === known.detail || !known.isOpen) return; // pictures that flicker cannot be looked at
      known.detail = key;
      const box = known.row.querySelector(".pseudoword-job-details");
      const open = [...box.querySelectorAll("details")].map((one) => one.open);
      box.replaceChildren(...details({ ...job, alone: last.alone, admin: last.admin }, (order, body) => act(job, order, body)));
      [...box.querySelectorAll("details")].forEach((one, number) => { one.open = open[number] ?? false; });
    } catch (problem) {
      tell(problem.message);
    }
  };

  const offerComparison = () => {
    const offer = place("compare");
    offer.disabled = chosen.size !== 2;
    offer.textContent = chosen.size === 2 ? "Compare the two" : "Compare: choose two finished ones";
  };

  const compare = async () => {
    const [one, other] = chosen;
    const box = place("comparison");
    try {
      const now = await (await answerOf(addressOf(one, `/beside/${encodeURIComponent(other)}`))).json();
      box.replaceChildren(...comparison(now, () => box.replaceChildren()));
      box.scrollIntoView({ block: "nearest" });
    } catch (problem) {
      tell(problem.message);
    }
  };

  // ---- the whole list ----------------------------------------------------------------------------------------------

  const changed = () => { etag = ""; asked.count = ROWS; look(); };

  const choice = (name, options, onChoice) => {
    const box = document.createElement("select");
    box.setAttribute("aria-label", name);
    for (const [value, label] of options) box.append(new Option(label, value));
    box.addEventListener("change", () => onChoice(box.value));
    return box;
  };

  const furnish = (box) => {
    const tools = make("div", "jobs-tools");
    const whose = choice("Whose", WHOSE, (value) => { asked.whose = value; changed(); });
    whose.className = "pseudoword-jobs-whose";
    const search = document.createElement("input");
    search.type = "search";
    search.placeholder = "Search a name";
    search.setAttribute("aria-label", "Search");
    let typing = 0;
    search.addEventListener("input", () => {
      window.clearTimeout(typing);
      typing = window.setTimeout(() => { asked.search = search.value; changed(); }, 200);
    });
    const offer = button("", compare, "pseudoword-jobs-compare");
    tools.append(whose, choice("State", FILTERS, (value) => { asked.state = value; changed(); }), search, offer);
    const status = make("div", "jobs-status");
    status.setAttribute("role", "status");
    box.append(tools, status, make("div", "jobs-comparison"), make("p", "jobs-count"), make("div", "jobs-list"), make("div", "jobs-more"));
    offerComparison();
  };

  const draw = () => {
    const list = place("list");
    const rows = last.jobs.map(rowOf);
    const isSame = rows.length === list.childElementCount && rows.every((row, number) => row === list.children[number]);
    if (!isSame) list.replaceChildren(...rows);
    const ids = new Set(last.jobs.map((job) => job.id));
    for (const id of drawn.keys()) if (!ids.has(id)) drawn.delete(id);
    place("whose").hidden = last.alone;
    const waiting = last.waiting ? `, ${last.waiting} waiting` : "";
    place("count").textContent = last.total ? `${last.total} ${last.total === 1 ? "job" : "jobs"}${waiting}` : "No jobs yet. A training that you start is listed here; so are comparisons of layers, and folders that are scored or read for the search.";
    const left = last.total - last.jobs.length;
    place("more").replaceChildren(...(left > 0 ? [button(`Show more (${left} left)`, () => { asked.count += 4 * ROWS; etag = ""; look(); })] : []));
  };

  const look = async () => {
    const box = document.getElementById("pseudoword-jobs");
    if (!isSeen(box)) return;
    if (!box.childElementCount) furnish(box);
    const query = new URLSearchParams(asked).toString();
    try {
      const answer = await answerOf(`pseudoword/v1/jobs?${query}`, { headers: etag ? { "If-None-Match": etag } : {} });
      if (query !== new URLSearchParams(asked).toString()) return; // something else was asked for meanwhile
      if (answer.status !== 304) {
        last = await answer.json();
        etag = answer.headers.get("ETag") ?? "";
        draw();
      }
      if (place("status").dataset.lost) { tell(""); delete place("status").dataset.lost; }
    } catch (problem) {
      etag = "";
      tell(`The list cannot be read (${problem.message}); trying again.`);
      place("status").dataset.lost = "yes";
    }
    await Promise.all([...drawn.keys()].map(lookInto));
  };

  const lookOn = async () => {
    await look();
    window.setTimeout(lookOn, EVERY_MS);
  };

  // A browser that is to be known again gets its cookie, before anything is pressed. A WebUI that reloads shows its page
  // a moment before it has the routes.
  const beKnown = () => fetch("pseudoword/v1/me", { cache: "no-store" })
    .then((answer) => { if (answer.status === 404) window.setTimeout(beKnown, EVERY_MS); })
    .catch(() => {});
  if (typeof window.onUiLoaded === "function") window.onUiLoaded(beKnown);
  else beKnown();
  lookOn();
})();
