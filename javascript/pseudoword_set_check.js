// Shows the check of a training set while it is made and afterwards, and lets one choose what is left out.
(() => {
  "use strict";

  const { make, button, count, picture, bar, isSeen, inWords, enable, fill, asked } = window.pseudoword;
  const EVERY_MS = 700;
  const UNDER_WAY = ["waiting", "looking", "round trips"];
  const shown = new WeakMap(); // of every place for a check: which was drawn there, its parts, and whether it has ended

  const headline = (now) => {
    if (now.message) return now.message;
    if (now.state === "waiting") return "Waiting for another check";
    const left = now.seconds_left === null ? "" : `, ${inWords(now.seconds_left)}`;
    if (now.state === "looking") return `Looking at the pictures${left}`;
    if (now.state === "round trips") return `Sending the pictures through the VAE and back${left}`;
    const doubtful = now.pictures.filter((one) => one.findings.length).length;
    if (!doubtful) return `Nothing was found in ${count(now.pictures.length, "picture")}`;
    return `Something was found in ${doubtful} of ${count(now.pictures.length, "picture")}`;
  };

  const facts = (one) => {
    const parts = [`${one.width} × ${one.height} pixels`];
    if (one.edge_spread !== null) parts.push(`edges ${one.edge_spread.toFixed(1)} px`);
    if (one.psnr !== null) parts.push(`VAE ${one.psnr.toFixed(1)} dB`);
    if (one.cosine_with_others !== null) parts.push(`CLIP cosine with the others ${one.cosine_with_others.toFixed(2)}`);
    if (one.caption_cosine !== null) parts.push(`with its caption ${one.caption_cosine.toFixed(2)}`);
    return parts.join(", ");
  };

  const frame = (title) => {
    const figure = make("figure", "set-check-frame");
    figure.append(make("figcaption", "caption", title));
    return figure;
  };

  const rowOf = (one, number, route, ticked, changed) => {
    const row = make("li", "set-check-row");
    const label = make("label", "set-check-name");
    const tick = make("input", "set-check-tick");
    tick.type = "checkbox";
    tick.setAttribute("aria-label", `Leave out ${one.name}`);
    tick.addEventListener("change", () => { ticked.set(number, tick.checked); changed(); });
    label.append(tick, make("b", "set-check-file", one.name), make("span", "set-check-left", "left out"));
    const original = frame("as trained");
    original.prepend(picture(`${route}/${number}/original.png`, `${one.name}, as it is trained`));
    const pictures = make("div", "set-check-pictures");
    pictures.append(original, frame("through the VAE"));
    const said = make("div", "set-check-said");
    said.append(label, make("p", "small"), make("p", "set-check-caption"), make("ul", "set-check-findings"));
    row.append(pictures, said);
    return row;
  };

  const updateRow = (row, one, number, route, ticked, leftOut) => {
    const tick = row.querySelector("input");
    if (!ticked.has(number)) tick.checked = leftOut.length ? leftOut.includes(number) : one.leave_out;
    row.classList.toggle("pseudoword-set-check-out", leftOut.includes(number));
    row.querySelector(".pseudoword-small").textContent = facts(one);
    const caption = row.querySelector(".pseudoword-set-check-caption");
    caption.textContent = one.caption ? `“${one.caption}”` : "";
    caption.hidden = !one.caption;
    const [, trip] = row.querySelectorAll("figure");
    if (one.has_round_trip && !trip.querySelector("img")) trip.prepend(picture(`${route}/${number}/round-trip.png`, `${one.name}, after its round trip through the VAE`));
    const list = row.querySelector("ul");
    const key = JSON.stringify(one.findings);
    if (list.dataset.findings !== key) {
      list.dataset.findings = key;
      list.replaceChildren(...one.findings.map((found) => make("li", found.leaves_out ? "warning" : "note", found.sentence)));
    }
  };

  const chosen = (parts) => parts.rows.flatMap((row, number) => (row.querySelector("input").checked ? [number] : []));

  // What is doubtful comes first. Rows are moved only where their order changed: a page that flickers cannot be read.
  const order = (parts, pictures) => {
    const rank = (number) => (pictures[number].leave_out ? 0 : pictures[number].findings.length ? 1 : 2);
    const numbers = [...parts.rows.keys()].sort((one, other) => rank(one) - rank(other) || one - other);
    const wanted = numbers.map((number) => parts.rows[number]);
    if (wanted.some((row, place) => parts.list.children[place] !== row)) parts.list.replaceChildren(...wanted);
  };

  const bringIntoView = (box) => box.scrollIntoView({ block: "nearest", behavior: "smooth" }); // it is below the form

  const begin = (box) => {
    const parts = { headline: make("p", "headline"), bar: bar(0, 1, "Checked"), notes: make("div", "set-check-notes"), list: make("ol", "set-check-list"), skipped: make("ul", "set-check-skipped"), buttons: make("div", "set-check-buttons"), rows: [], ticked: new Map() };
    parts.headline.setAttribute("role", "status");
    parts.leave = button("", () => fill("check_order", JSON.stringify(chosen(parts))), "button");
    parts.undo = button("Undo: leave none out", () => { parts.ticked.clear(); fill("check_order", "[]"); }, "button");
    parts.buttons.append(parts.leave, parts.undo);
    box.replaceChildren(parts.headline, parts.bar, parts.buttons, parts.list, parts.skipped, parts.notes);
    bringIntoView(box);
    return parts;
  };

  const updateButtons = (parts, leftOut) => {
    const wanted = chosen(parts);
    parts.leave.textContent = wanted.length ? `Leave the ${count(wanted.length, "ticked picture")} out` : "Leave none out";
    const isSo = JSON.stringify(wanted) === JSON.stringify(leftOut);
    parts.leave.disabled = isSo;
    parts.undo.hidden = !leftOut.length;
    parts.buttons.hidden = !parts.rows.length;
  };

  const draw = (box, now) => {
    const route = `pseudoword/v1/set-checks/${encodeURIComponent(box.dataset.check)}`;
    const leftOut = JSON.parse(box.dataset.leftOut || "[]");
    const parts = shown.get(box)?.parts ?? begin(box);
    const isUnderWay = UNDER_WAY.includes(now.state);
    parts.headline.textContent = headline(now);
    parts.headline.classList.toggle("pseudoword-warning", now.state === "failed");
    parts.bar.max = Math.max(now.total, 1);
    parts.bar.value = now.done;
    parts.bar.hidden = !isUnderWay;
    const hadRows = parts.rows.length > 0;
    const changed = () => updateButtons(parts, JSON.parse(box.dataset.leftOut || "[]"));
    for (let place = parts.rows.length; place < now.pictures.length; place += 1) parts.rows.push(rowOf(now.pictures[place], place, route, parts.ticked, changed));
    now.pictures.forEach((one, number) => updateRow(parts.rows[number], one, number, route, parts.ticked, leftOut));
    order(parts, now.pictures);
    parts.skipped.replaceChildren(...now.skipped.map((one) => make("li", "warning", `${one.name} is passed over: ${one.reason}.`)));
    parts.notes.replaceChildren(...now.remarks.map((text) => make("p", "small", text)));
    updateButtons(parts, leftOut);
    if (!hadRows && parts.rows.length) bringIntoView(box);
    shown.set(box, { id: box.dataset.check, left: box.dataset.leftOut, parts, now, hasEnded: !isUnderWay });
  };

  // Gradio may put another check into the same place, or empty it.
  const look = async (box) => {
    const known = shown.get(box);
    const isStillShown = known && known.id === box.dataset.check && box.childElementCount > 0;
    if (!isStillShown) shown.delete(box);
    else if (known.hasEnded && known.left !== box.dataset.leftOut && known.parts) return draw(box, known.now);
    if (shown.get(box)?.hasEnded || !isSeen(box)) return;
    const id = box.dataset.check;
    try {
      const now = await (await asked(`set-checks/${encodeURIComponent(id)}`)).json();
      if (box.dataset.check === id) draw(box, now);
    } catch (problem) {
      const isGone = problem.status === 404; // with the server, or after many others
      shown.set(box, { id, parts: null, hasEnded: isGone });
      box.replaceChildren(make("p", "warning", isGone ? problem.message : `The server cannot be reached (${problem.message}); trying again.`));
    }
  };

  const lookAtAll = async () => {
    const boxes = [...document.querySelectorAll(".pseudoword-set-check[data-check]")];
    enable("check_cancel", boxes.some((box) => !shown.get(box)?.hasEnded));
    await Promise.all(boxes.map(look));
    window.setTimeout(lookAtAll, EVERY_MS);
  };

  window.setTimeout(lookAtAll, EVERY_MS);
})();
