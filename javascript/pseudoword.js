// Shows the training that is under way, once a second, in every page that is open: the server knows, the page only looks.
(() => {
  "use strict";

  const ROUTE = "pseudoword/v1/training";
  const EVERY_MS = 1000;
  const UNDER_WAY = ["preparing", "training", "paused"];

  const make = (tag, name, text = "") => {
    const element = document.createElement(tag);
    element.className = `pseudoword-${name}`;
    element.textContent = text;
    return element;
  };

  const inWords = (seconds) => {
    if (seconds >= 5400) return `${Math.round(seconds / 3600)} hours left`;
    if (seconds >= 90) return `${Math.round(seconds / 60)} minutes left`;
    return `${Math.max(1, Math.round(seconds))} s left`;
  };

  const number = (value, digits = 4) => (value === null || value === undefined ? "–" : value.toPrecision(digits));

  const headline = (now) => {
    if (now.state === "idle") return "No training yet. Add pictures, give the word a name, and press Start.";
    if (now.state === "preparing" && now.pictures && now.pictures_prepared === now.pictures) return `Preparing ${now.name}: looking for where to start`;
    if (now.state === "preparing") return `Preparing ${now.name}: picture ${now.pictures_prepared} of ${now.pictures || "…"}`;
    if (now.state === "training") return `Learning ${now.name}: step ${now.step} of at most ${now.steps}`;
    return `${now.name}: ${now.message}`;
  };

  const figures = (now) => [
    ["time", now.seconds_left === null ? "–" : inWords(now.seconds_left)],
    ["loss", number(now.loss)],
    ["validation loss", number(now.validation_loss)],
    ["best", now.best_step === null ? "–" : `step ${now.best_step}, ${number(now.best_loss)}`],
    ["learning rate", number(now.learning_rate, 2)],
  ];

  const picture = (path, version, alternative) => {
    const image = make("img", "picture");
    image.src = `${ROUTE}/${path}?v=${version}`;
    image.alt = alternative;
    image.title = "Opens in its full size";
    image.tabIndex = 0;
    const open = () => window.open(image.src, "_blank", "noopener");
    image.addEventListener("click", open);
    image.addEventListener("keydown", (event) => { if (event.key === "Enter") open(); });
    return image;
  };

  const previewRow = (preview, now) => {
    const figure = make("figure", "preview");
    const likeness = preview.likeness === null ? "" : `, likeness ${number(preview.likeness, 3)}, editability ${number(preview.editability, 3)}`;
    const best = preview.step === now.best_step ? ", the best so far" : "";
    figure.append(
      picture(`previews/${preview.step}.png`, now.name, `The word after ${preview.step} steps`),
      make("figcaption", "caption", `step ${preview.step}${best}${likeness}`),
    );
    return figure;
  };

  const pictures = (now) => {
    const box = make("div", "pictures");
    if (now.state === "finished") box.append(picture("contact-sheet.png", now.version, "Training pictures, and the word before and after"));
    else box.append(...[...now.previews].reverse().map((preview) => previewRow(preview, now)));
    if (now.version > 0) box.append(picture("curve.png", `${now.name}-${now.version}`, "Loss, validation loss, likeness and editability by step"));
    return box;
  };

  const progress = (now) => {
    const bar = make("progress", "bar");
    bar.max = now.steps;
    bar.value = now.state === "finished" ? now.steps : now.step;
    bar.setAttribute("aria-label", "Steps done");
    return bar;
  };

  const table = (now) => {
    const list = make("dl", "figures");
    for (const [name, value] of figures(now)) {
      const pair = make("div", "figure");
      pair.append(make("dt", "name", name), make("dd", "value", value));
      list.append(pair);
    }
    return list;
  };

  // Pictures are made anew only where they changed: a page that flickers once a second cannot be read.
  const draw = (box, now) => {
    const key = JSON.stringify([now.name, now.version, now.state === "finished", now.previews]);
    const old = box.querySelector(".pseudoword-pictures");
    const kept = box.dataset.pictures === key && old ? old : now.state === "idle" ? null : pictures(now);
    const parts = [make("p", `headline pseudoword-${now.state}`, headline(now))];
    parts[0].setAttribute("role", "status");
    if (now.state !== "idle") parts.push(progress(now), table(now), ...now.warnings.map((text) => make("p", "warning", text)));
    if (kept) parts.push(kept);
    box.dataset.pictures = key;
    box.replaceChildren(...parts);
  };

  const buttonCalled = (name) => {
    const element = document.getElementById(`pseudoword_${name}`);
    return element && element.tagName !== "BUTTON" ? element.querySelector("button") : element;
  };

  // The buttons that make no sense now are greyed out; the server ignores them, too.
  const enable = (now) => {
    const sensible = {
      start: !UNDER_WAY.includes(now.state),
      pause: ["preparing", "training"].includes(now.state),
      resume: now.state === "paused",
      stop: UNDER_WAY.includes(now.state),
      cancel: UNDER_WAY.includes(now.state),
    };
    for (const [name, is] of Object.entries(sensible)) buttonCalled(name)?.classList.toggle("pseudoword-idle", !is);
  };

  // When a training has ended there are other runs and words to choose from; in the WebUI a word gets its card, too.
  const CARDS = ["txt2img", "img2img"].map((tab) => `${tab}_textual_inversion_extra_refresh_internal`);
  let before = null;
  const refreshLists = (now) => {
    const hasEnded = UNDER_WAY.includes(before) && !UNDER_WAY.includes(now.state);
    if (hasEnded) for (const id of CARDS) document.getElementById(id)?.dispatchEvent(new Event("click"));
    if (hasEnded || before === null) buttonCalled("refresh")?.click();
    before = now.state;
  };

  let drawn = "";
  const look = async () => {
    const box = document.getElementById("pseudoword-training");
    if (!box || box.offsetParent === null || document.hidden) return;
    try {
      const answer = await fetch(ROUTE, { cache: "no-store" });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const text = await answer.text();
      if (text === drawn && box.childElementCount) return;
      drawn = text;
      const now = JSON.parse(text);
      draw(box, now);
      enable(now);
      refreshLists(now);
    } catch (problem) {
      drawn = "";
      box.replaceChildren(make("p", "warning", `The server cannot be reached (${problem.message}); trying again.`));
    }
  };

  window.setInterval(look, EVERY_MS);
})();
