// Shows strips of pictures while they are made and afterwards: the server makes them, the page only looks.
(() => {
  "use strict";

  const { make, picture, bar, isSeen, inWords, enable, asked } = window.pseudoword;
  const EVERY_MS = 1000;
  const UNDER_WAY = ["waiting", "making", "paused"]; // a job of the list may be resumed
  const shown = new WeakMap(); // of every place for a strip: which was drawn there, its parts, and whether it has ended

  const headline = (now) => {
    if (now.message) return now.message;
    if (now.state === "waiting") return "Waiting for the model";
    if (now.state === "finished") return `${now.total} pictures, ${now.steps} steps each`;
    const left = now.seconds_left === null ? "" : `, ${inWords(now.seconds_left)}`;
    return `Picture ${Math.min(now.done + 1, now.total)} of ${now.total}${left}`;
  };

  const link = (address, name, text) => {
    const element = make("a", "link", text);
    element.href = address;
    element.download = name;
    return element;
  };

  const shotOf = (route, title, shot, seeds) => {
    const figure = make("figure", "strip-shot");
    figure.style.setProperty("--seeds", seeds.length);
    const caption = make("figcaption", "caption");
    caption.append(make("b", "strip-label", shot.label), make("span", "strip-figure"));
    figure.append(picture(route, `${title}: ${shot.label}, ${seeds.length > 1 ? "seeds" : "seed"} ${seeds.join(", ")}`), caption);
    return figure;
  };

  const rowOf = (row) => {
    const section = make("section", "strip-row");
    section.append(make("h4", "strip-title", row.title), make("p", "note"), make("div", "strip-shots"), make("p", "small"));
    return section;
  };

  // Pictures stay once they are there: a page that flickers once a second cannot be read.
  const updateRow = (section, row, number, route, seeds) => {
    const [, recommendation, shots, explanation] = section.children;
    const told = row.recommendation;
    recommendation.textContent = told ? told.says : "";
    recommendation.hidden = !told;
    recommendation.className = told?.layers ? "pseudoword-good" : "pseudoword-note";
    for (let place = shots.childElementCount; place < row.made; place += 1) shots.append(shotOf(`${route}/${number}/${place}.png`, row.title, row.shots[place], seeds));
    [...shots.children].forEach((figure, place) => { figure.querySelector(".pseudoword-strip-figure").textContent = row.shots[place].caption; });
    explanation.textContent = row.explanation;
  };

  const results = (now, route) => {
    const box = make("div", "strip-results");
    const links = make("p", "small");
    if (now.rows.some((row) => row.explanation)) {
      for (const theme of ["light", "dark"]) {
        const plot = make("img", `plot pseudoword-in-${theme}`);
        plot.loading = "lazy"; // the one that is hidden is never asked for
        plot.src = `${route}/plot.png?theme=${theme}`;
        plot.alt = `CLIP similarities: ${now.rows.map((row) => row.title).join("; ")}`;
        box.append(plot);
      }
      links.append(link(`${route}/plot.png`, "pseudoword-figures.png", "Plot (PNG)"), link(`${route}/figures.csv`, "pseudoword-figures.csv", "Figures (CSV)"));
    }
    if (now.done) links.append(link(`${route}/sheet.png`, "pseudoword-strip.png", "All pictures on a sheet (PNG)"));
    box.append(links);
    return box;
  };

  const begin = (box, now) => {
    const parts = { headline: make("p", "headline"), bar: bar(0, now.total, "Pictures made"), note: make("p", "note"), rows: now.rows.map(rowOf) };
    parts.headline.setAttribute("role", "status");
    box.replaceChildren(parts.headline, parts.bar, parts.note, ...parts.rows);
    return parts;
  };

  const draw = (box, now) => {
    const route = `pseudoword/v1/strips/${encodeURIComponent(box.dataset.strip)}`;
    const parts = shown.get(box)?.parts ?? begin(box, now);
    const isUnderWay = UNDER_WAY.includes(now.state);
    parts.headline.textContent = headline(now);
    parts.headline.classList.toggle("pseudoword-warning", now.state === "failed");
    parts.bar.value = now.done;
    parts.bar.hidden = !isUnderWay;
    parts.note.textContent = now.no_figures;
    parts.note.hidden = !now.no_figures;
    now.rows.forEach((row, number) => updateRow(parts.rows[number], row, number, route, now.seeds));
    if (!isUnderWay) box.append(results(now, route));
    shown.set(box, { id: box.dataset.strip, parts, hasEnded: !isUnderWay });
  };

  // Gradio may put another strip into the same place, or empty it.
  const isStillShown = (box) => {
    const known = shown.get(box);
    return known && known.id === box.dataset.strip && box.childElementCount > 0;
  };

  const look = async (box) => {
    if (!isStillShown(box)) shown.delete(box);
    if (shown.get(box)?.hasEnded || !isSeen(box)) return;
    const id = box.dataset.strip;
    try {
      const now = await (await asked(`strips/${encodeURIComponent(id)}`)).json();
      if (box.dataset.strip === id) draw(box, now);
    } catch (problem) {
      const isGone = problem.status === 404; // with the server, or after many others
      shown.set(box, { id, parts: null, hasEnded: isGone });
      box.replaceChildren(make("p", "warning", isGone ? problem.message : `The server cannot be reached (${problem.message}); trying again.`));
    }
  };

  const PLACES = "[id^=pseudoword_][id$=_strip]"; // one in each form that asks for a strip
  const enableCancelling = () => {
    for (const place of document.querySelectorAll(PLACES)) {
      const boxes = [...place.querySelectorAll(".pseudoword-strip[data-strip]")];
      const form = place.id.slice("pseudoword_".length, -"_strip".length);
      enable(`${form}_cancel`, boxes.some((box) => !(isStillShown(box) && shown.get(box).hasEnded)));
    }
  };

  const lookAtAll = async () => {
    enableCancelling();
    await Promise.all([...document.querySelectorAll(".pseudoword-strip[data-strip]")].map(look));
    window.setTimeout(lookAtAll, EVERY_MS);
  };

  window.setTimeout(lookAtAll, EVERY_MS);
})();
