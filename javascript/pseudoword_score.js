// Shows pictures beside texts: how far the scoring is, then the matrix. The server scores, the page only looks.
(() => {
  "use strict";

  const { make, button, picture, bar, isSeen, inWords, enable, asked } = window.pseudoword;
  const EVERY_MS = 1000;
  const UNDER_WAY = ["waiting", "scoring", "paused"]; // a job of the list may be resumed
  const ROWS = 100; // shown at first, and more each time they are asked for
  const shown = new WeakMap(); // of every place for scores: which were drawn there, and whether they have ended
  // By the name that the sheet knows it by: what a figure is called, where its numbers are, and how they are written.
  const FIGURES = {
    cosine: ["Cosine", "cosines", (value) => value.toFixed(3)],
    "clip score": ["CLIPScore", "clip_scores", (value) => value.toFixed(1)],
    probability: ["Probability", "probabilities", (value) => `${(100 * value).toFixed(1)} %`],
  };

  const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;
  const things = (result) => (result.are_classes ? ["class", "classes"] : ["text", "texts"]);

  const link = (address, name, text) => {
    const element = make("a", "link", text);
    element.href = address;
    element.download = name;
    return element;
  };

  const headline = (now) => {
    if (now.message) return now.message;
    if (now.state === "waiting") return "Waiting for others whose pictures are being scored";
    if (now.state === "scoring") {
      const left = now.seconds_left === null ? "" : `, ${inWords(now.seconds_left)}`;
      return now.total && now.model ? `${now.done} of ${now.total} pictures by ${now.model}${left}` : "Loading the CLIP model";
    }
    const { pictures, labels, head } = now.result;
    const beside = labels.length ? plural(labels.length, ...things(now.result)) : `the head ${head}`;
    return `${plural(pictures.length, "picture", "pictures")} beside ${beside}`;
  };

  const fact = (title, text) => {
    const box = make("div", "figure");
    const [term, told] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = title;
    told.textContent = text;
    box.append(term, told);
    return box;
  };

  const facts = (result) => {
    const list = make("dl", "figures");
    const { pictures, labels, width } = result;
    list.append(fact("CLIP model", result.model), fact("Features of pictures", `${pictures.length} × ${width}`));
    if (labels.length) {
      list.append(fact(`Features of ${things(result)[1]}`, `${labels.length} × ${width}`), fact("Matrix", `${pictures.length} × ${labels.length}`));
      list.append(fact("Logit scale", result.logit_scale.toPrecision(4)));
    }
    if (result.found !== null) {
      const share = Math.round((100 * result.found) / pictures.length);
      list.append(fact("Found the text of their number", `${result.found} of ${pictures.length} (${share} %)`));
    }
    return list;
  };

  const unreadable = (result) => {
    const box = make("details", "score-unread");
    box.open = result.unreadable.length <= 12;
    const summary = document.createElement("summary");
    summary.textContent = `${plural(result.unreadable.length, "picture", "pictures")} could not be read`;
    const list = document.createElement("ul");
    for (const one of result.unreadable) {
      const item = document.createElement("li");
      item.append(make("b", "score-name", one.name), `: ${one.reason}.`);
      list.append(item);
    }
    box.append(summary, list);
    return box;
  };

  // The numbers of the figure that is shown, and how strongly a cell is coloured.
  const scaleOf = (result, figure) => {
    const values = result[FIGURES[figure][1]];
    if (figure === "probability") return [values, (value) => value];
    let [lowest, highest] = [Infinity, -Infinity];
    for (const row of values) for (const value of row) { lowest = Math.min(lowest, value); highest = Math.max(highest, value); }
    return [values, (value) => (highest > lowest ? (value - lowest) / (highest - lowest) : 0)];
  };

  const MARKS = { text: "★", picture: "▲", own: "◇" };

  const marksOf = (result, row, column) => {
    const marks = [];
    if (result.best_labels[row] === column) marks.push("text");
    if (result.best_pictures[column] === row) marks.push("picture");
    if (result.is_square && row === column) marks.push("own");
    return marks;
  };

  const cellOf = (result, figure, row, column, value, heat) => {
    const cell = make("td", "score-cell");
    const marks = marksOf(result, row, column);
    for (const mark of marks) cell.classList.add(`pseudoword-score-${mark}`);
    cell.style.setProperty("--heat", heat.toFixed(3));
    cell.append(make("span", "score-value", FIGURES[figure][2](value)), make("span", "score-marks", marks.map((mark) => MARKS[mark]).join("")));
    const all = Object.values(FIGURES).map(([name, key, form]) => `${name} ${form(result[key][row][column])}`).join(", ");
    cell.title = `${result.pictures[row]} – ${result.labels[column]}: ${all}`;
    return cell;
  };

  const thumbnail = (route, result, row) => {
    const image = picture(`${route}/pictures/${row}.jpg`, result.pictures[row]);
    image.classList.add("pseudoword-score-thumbnail");
    image.loading = "lazy";
    return image;
  };

  const rowOf = (view, row) => {
    const { result, route, figure } = view;
    const line = document.createElement("tr");
    const head = make("th", "score-picture");
    head.scope = "row";
    const number = result.is_square ? `${row + 1}. ` : "";
    const name = make("span", "score-name", number + result.pictures[row]);
    name.title = result.pictures[row];
    head.append(thumbnail(route, result, row), name);
    line.append(head);
    view.values[row]?.forEach((value, column) => line.append(cellOf(result, figure, row, column, value, view.heat(value))));
    if (result.head) line.append(make("td", "score-cell pseudoword-score-head", result.head_scores[row].toFixed(3)));
    return line;
  };

  // Rows by what stands in the column that was pressed, the highest first; else as they were given.
  const orderOf = (view) => {
    const rows = view.result.pictures.map((_, row) => row);
    if (view.sorted === null) return rows;
    const value = (row) => (view.sorted < view.result.labels.length ? view.values[row][view.sorted] : view.result.head_scores[row]);
    return rows.sort((one, other) => value(other) - value(one) || one - other);
  };

  const headerOf = (view, draw) => {
    const header = document.createElement("thead");
    const line = document.createElement("tr");
    line.append(make("th", "score-picture", "Picture"));
    const titles = [...view.result.labels.map((label, column) => (view.result.is_square ? `${column + 1}. ${label}` : label))];
    if (view.result.head) titles.push(`head: ${view.result.head}`);
    titles.forEach((title, column) => {
      const cell = make("th", "score-label");
      cell.scope = "col";
      if (view.sorted === column) cell.setAttribute("aria-sort", "descending");
      const sort = () => { view.sorted = view.sorted === column ? null : column; draw(); };
      const press = button(title, sort, "library-sort pseudoword-score-sort");
      press.title = `${title}\n(sorts the pictures by this column)`;
      cell.append(press);
      line.append(cell);
    });
    header.append(line);
    return header;
  };

  const legendOf = (result) => {
    const [one] = things(result);
    const told = [`★ best ${one} of the picture`, `▲ best picture of the ${one}, by cosine`];
    if (result.is_square) told.push("◇ the text of the picture's number");
    return make("p", "small", `${told.join(" · ")} · the stronger the colour, the higher`);
  };

  const drawTable = (view) => {
    const draw = () => drawTable(view);
    [view.values, view.heat] = view.result.labels.length ? scaleOf(view.result, view.figure) : [[], () => 0];
    const table = make("table", "score-table");
    const body = document.createElement("tbody");
    const order = orderOf(view);
    body.append(...order.slice(0, view.count).map((row) => rowOf(view, row)));
    table.append(headerOf(view, draw), body);
    const scroll = make("div", "score-scroll");
    scroll.tabIndex = 0;
    scroll.append(table);
    const parts = [scroll];
    if (order.length > view.count) {
      parts.push(button(`Show more of the ${order.length} pictures`, () => { view.count += ROWS; draw(); }, "score-more"));
    }
    view.links.querySelector("a").href = `${view.route}/sheet.png?figure=${encodeURIComponent(view.figure)}`;
    const { scrollTop, scrollLeft } = view.place.querySelector(".pseudoword-score-scroll") ?? {};
    view.place.replaceChildren(...parts);
    if (scrollTop !== undefined) scroll.scrollTo(scrollLeft, view.sorted === null ? scrollTop : 0);
  };

  const choiceOf = (view, id) => {
    const box = make("fieldset", "score-choice");
    const legend = document.createElement("legend");
    legend.textContent = "Shown";
    box.append(legend);
    for (const [figure, [name]] of Object.entries(FIGURES)) {
      const label = make("label", "score-option", "");
      const input = Object.assign(document.createElement("input"), { type: "radio", name: `shown ${id}`, value: figure, checked: figure === view.figure });
      input.addEventListener("change", () => { view.figure = figure; drawTable(view); });
      label.append(input, ` ${name}`);
      box.append(label);
    }
    return box;
  };

  const resultsOf = (now, route) => {
    const { result } = now;
    const parts = [facts(result), ...result.notes.map((note) => make("p", "warning", note))];
    if (result.unreadable.length) parts.push(unreadable(result));
    if (!result.pictures.length) return parts;
    const links = make("p", "small");
    links.append(link("", "pseudoword-scores.png", "Picture of it (PNG)"), link(`${route}/scores.csv`, "pseudoword-scores.csv", "Table (CSV)"), link(`${route}/scores.json`, "pseudoword-scores.json", "JSON"));
    const view = { result, route, links, figure: result.are_classes ? "probability" : "cosine", sorted: null, count: ROWS, place: make("div", "score-matrix") };
    if (result.labels.length) parts.push(choiceOf(view, now.id));
    parts.push(view.place);
    if (result.labels.length) parts.push(legendOf(result));
    parts.push(links);
    drawTable(view);
    return parts;
  };

  const draw = (box, now) => {
    const route = `pseudoword/v1/scores/${encodeURIComponent(now.id)}`;
    const isUnderWay = UNDER_WAY.includes(now.state);
    const told = make("p", "headline", headline(now));
    told.setAttribute("role", "status");
    told.classList.toggle("pseudoword-warning", now.state === "failed");
    const progress = bar(now.done, Math.max(now.total, 1), "Pictures scored");
    progress.hidden = !isUnderWay;
    box.replaceChildren(told, progress, ...(now.result ? resultsOf(now, route) : []));
    shown.set(box, { id: now.id, hasEnded: !isUnderWay });
  };

  const hasEnded = (box) => shown.get(box)?.id === box.dataset.scores && shown.get(box).hasEnded;

  const look = async (box) => {
    if (shown.has(box) && !box.childElementCount) shown.delete(box); // Gradio put others there
    if (hasEnded(box) || !isSeen(box)) return;
    const id = box.dataset.scores;
    try {
      const now = await (await asked(`scores/${encodeURIComponent(id)}`)).json();
      if (box.dataset.scores === id) draw(box, now);
    } catch (problem) {
      const isGone = problem.status === 404; // with the server, or after many others
      shown.set(box, { id, hasEnded: isGone });
      box.replaceChildren(make("p", "warning", isGone ? problem.message : `The server cannot be reached (${problem.message}); trying again.`));
    }
  };

  const lookAtAll = async () => {
    const boxes = [...document.querySelectorAll(".pseudoword-scores[data-scores]")];
    enable("score_cancel", boxes.some((box) => !hasEnded(box)));
    await Promise.all(boxes.map(look));
    window.setTimeout(lookAtAll, EVERY_MS);
  };

  window.setTimeout(lookAtAll, EVERY_MS);
})();
