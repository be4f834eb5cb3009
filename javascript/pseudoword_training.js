// Shows the training that is under way, once a second, in every page that is open: the server knows, the page only looks.
(() => {
  "use strict";

  const { make, number, inWords, picture, bar, isSeen, buttonCalled, refreshCards, asked } = window.pseudoword;
  const ROUTE = "pseudoword/v1/training";
  const EVERY_MS = 1000;
  const UNDER_WAY = ["waiting", "preparing", "training", "paused"];

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

  const previewRow = (preview, now) => {
    const figure = make("figure", "preview");
    const likeness = preview.likeness === null ? "" : `, likeness ${number(preview.likeness, 3)}, editability ${number(preview.editability, 3)}`;
    const best = preview.step === now.best_step ? ", the best so far" : "";
    figure.append(
      picture(`${ROUTE}/previews/${preview.step}.png?v=${now.name}`, `The word after ${preview.step} steps`),
      make("figcaption", "caption", `step ${preview.step}${best}${likeness}`),
    );
    return figure;
  };

  const pictures = (now) => {
    const box = make("div", "pictures");
    if (now.state === "finished") box.append(picture(`${ROUTE}/contact-sheet.png?v=${now.version}`, "Training pictures, and the word before and after"));
    else box.append(...[...now.previews].reverse().map((preview) => previewRow(preview, now)));
    if (now.version > 0) box.append(picture(`${ROUTE}/curve.png?v=${now.name}-${now.version}`, "Loss, validation loss, likeness and editability by step"));
    return box;
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
    if (now.state !== "idle") parts.push(bar(now.state === "finished" ? now.steps : now.step, now.steps, "Steps done"), table(now), ...now.warnings.map((text) => make("p", "warning", text)));
    if (kept) parts.push(kept);
    box.dataset.pictures = key;
    box.replaceChildren(...parts);
  };

  // The buttons that make no sense now are greyed out; the server ignores them, too.
  const enable = (now) => {
    const sensible = {
      start: true,
      pause: ["waiting", "preparing", "training"].includes(now.state),
      resume: now.state === "paused",
      stop: UNDER_WAY.includes(now.state),
      cancel: UNDER_WAY.includes(now.state),
    };
    for (const [name, is] of Object.entries(sensible)) buttonCalled(name)?.classList.toggle("pseudoword-idle", !is);
  };

  // When a training has ended there are other runs and words to choose from; in the WebUI a word gets its card, too.
  let before = null;
  const refreshLists = (now) => {
    const hasEnded = UNDER_WAY.includes(before) && !UNDER_WAY.includes(now.state);
    if (hasEnded) refreshCards();
    if (hasEnded || before === null) buttonCalled("refresh")?.click();
    before = now.state;
  };

  let drawn = "";
  const look = async () => {
    const box = document.getElementById("pseudoword-training");
    if (!isSeen(box)) return;
    try {
      const text = await (await asked("training")).text();
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
