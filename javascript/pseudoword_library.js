// The library's table: read, sorted and filtered by the server, some rows at a time.
(() => {
  "use strict";

  const { make, button, number, bar, isSeen, buttonCalled, refreshCards, fill, asked } = window.pseudoword;
  const READING_MS = 150;
  const IDLE_MS = 1000;
  const UNSEEN_MS = 200; // nothing is asked for meanwhile
  const ROWS = 50;
  // Column of the server's table, title, and how a cell shows it.
  const COLUMNS = [
    ["name", "Name", (row) => nameCell(row)],
    ["architecture", "For", (row) => FAMILIES[row.architecture] ?? ""],
    ["vectors", "Vectors", (row) => row.vectors ?? ""],
    ["widths", "Dimensions", (row) => row.widths],
    ["mean_norm", "Norm", (row) => (row.mean_norm === null ? "" : number(row.mean_norm, 3))],
    ["steps", "Steps", (row) => row.steps ?? ""],
    ["trained_on", "Trained on", (row) => row.trained_on],
    ["format", "Format", (row) => row.format],
    ["bytes", "Size", (row) => size(row.bytes)],
    ["sha256", "SHA-256", (row) => row.sha256],
    ["duplicate", "Worth knowing", (row) => marks(row)],
  ];
  const FAMILIES = { sd1: "SD 1", sd2: "SD 2", sdxl: "SDXL" };
  const FILTERS = [
    ["fits", "fit the loaded model"],
    ["duplicates", "duplicates"],
    ["problems", "broken"],
  ];

  const size = (bytes) => {
    if (bytes === null || bytes === undefined) return "";
    return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
  };

  const nameCell = (row) => {
    const cell = make("span", "library-name");
    const open = make("button", "library-open", row.name);
    open.type = "button";
    open.title = row.path;
    cell.append(open);
    if (row.path.includes("/")) cell.append(make("small", "library-path", row.path));
    return cell;
  };

  const mark = (kind, text, title) => {
    const element = make("span", `mark pseudoword-mark-${kind}`, text);
    element.title = title;
    return element;
  };

  const marks = (row) => {
    const found = make("span", "marks");
    if (row.problem) found.append(mark("bad", "broken", row.problem), make("small", "library-problem", row.problem));
    else if (row.fits === true) found.append(mark("good", "fits", "Made for the kind of model that is loaded."));
    else if (row.fits === false) found.append(mark("plain", "does not fit", "Made for another kind of model than the one that is loaded."));
    if (row.unsafe_pickle) found.append(mark("bad", "unsafe", "This file would run a program when other tools open it. It is not run here."));
    else if (row.pickle) found.append(mark("plain", "pickle", "A format that can hold programs; this one holds none. Convert it to safetensors to be sure."));
    if (row.duplicate) found.append(mark("warn", row.duplicate === "exact" ? "copy" : "nearly a copy", row.duplicates));
    return found;
  };

  // What is asked for, and what was answered last.
  const state = { folder: "", search: "", architecture: "", sort: "name", descending: false, flags: {}, version: -1 };

  const query = (more) => {
    const { folder, search, architecture, sort, descending, flags } = state;
    return new URLSearchParams({ folder, search, architecture, sort, descending, ...flags, ...more });
  };

  const changed = () => {
    state.version = -1;
    look();
  };

  const field = (kind, label, attributes, onInput) => {
    const box = make("label", "library-field", `${label} `);
    const input = document.createElement(kind);
    Object.assign(input, attributes);
    input.addEventListener("input", () => onInput(input));
    box.append(input);
    return box;
  };

  const toolbar = () => {
    const box = make("div", "library-tools");
    box.setAttribute("role", "search");
    const search = field("input", "Search", { type: "search", placeholder: "name, folder, checkpoint" }, (input) => {
      window.clearTimeout(state.typing);
      state.typing = window.setTimeout(() => { state.search = input.value; changed(); }, 150);
    });
    const family = field("select", "For", {}, (input) => { state.architecture = input.value; changed(); });
    for (const [value, label] of [["", "any"], ...Object.entries(FAMILIES)]) family.lastChild.append(new Option(label, value));
    const only = FILTERS.map(([flag, label]) =>
      field("input", label, { type: "checkbox" }, (input) => { state.flags[flag] = input.checked; changed(); }));
    const folder = field("input", "Folder", { type: "text", placeholder: "the library" }, () => {});
    folder.lastChild.addEventListener("change", (event) => { state.folder = event.target.value.trim(); changed(); });
    const again = button("Read again", () => { state.version = -1; look({ read: true }); });
    const csv = make("a", "library-button pseudoword-library-csv", "CSV");
    csv.download = "embeddings.csv";
    csv.addEventListener("click", () => { csv.href = `pseudoword/v1/library.csv?${query()}`; });
    csv.href = "pseudoword/v1/library.csv";
    const group = make("span", "library-only", "Only those that ");
    group.append(...only);
    box.append(search, family, group, folder, again, csv);
    return box;
  };

  const heading = () => {
    const row = document.createElement("tr");
    row.append(make("th", "library-picture"));
    for (const [column, title] of COLUMNS) {
      const cell = make("th", `library-${column}`);
      const sort = make("button", "library-sort", title);
      sort.type = "button";
      const arrow = state.sort === column ? (state.descending ? "descending" : "ascending") : "none";
      cell.setAttribute("aria-sort", arrow);
      sort.addEventListener("click", () => {
        state.descending = state.sort === column && !state.descending;
        state.sort = column;
        changed();
      });
      cell.append(sort);
      row.append(cell);
    }
    return row;
  };

  const thumbnail = (row) => {
    const cell = make("td", "library-picture");
    if (row.preview === null) return cell;
    const image = document.createElement("img");
    image.loading = "lazy";
    image.alt = "";
    image.src = `pseudoword/v1/library/preview?${new URLSearchParams({ word: row.label, v: row.preview })}`;
    image.addEventListener("error", () => image.remove());
    cell.append(image);
    return cell;
  };

  const line = (row) => {
    const element = document.createElement("tr");
    element.className = row.problem ? "pseudoword-library-broken" : "pseudoword-library-row";
    element.append(thumbnail(row));
    for (const [column, title, shown] of COLUMNS) {
      const cell = make("td", `library-${column}`);
      cell.dataset.title = title;
      cell.append(shown(row));
      element.append(cell);
    }
    if (row.problem) element.querySelector("button").disabled = true;
    else element.addEventListener("click", () => choose(row.label, element));
    return element;
  };

  const choose = (label, element) => {
    for (const old of document.querySelectorAll(".pseudoword-library-chosen")) old.classList.remove("pseudoword-library-chosen");
    element.classList.add("pseudoword-library-chosen");
    fill("inspected", label);
  };

  const table = (now) => {
    const wrapped = make("div", "library-scroll");
    wrapped.tabIndex = 0;
    const element = make("table", "library-table");
    element.createTHead().append(heading());
    element.createTBody().append(...now.rows.map(line));
    wrapped.append(element);
    return wrapped;
  };

  const headline = (now) => {
    const files = (number) => `${number} ${number === 1 ? "file" : "files"}`;
    if (now.reading) return now.files ? `Reading ${now.done} of ${files(now.files)}` : "Looking for files";
    if (!now.all) return "No embeddings here yet. Train a word, or put files into the embeddings folder and read again.";
    const found = now.found === now.all ? files(now.all) : `${now.found} of ${files(now.all)}`;
    return now.complete ? found : `${found}; reading was stopped, the rest is missing`;
  };

  const progress = (now, box) => {
    const status = box.querySelector(".pseudoword-library-status");
    const parts = [make("span", "library-count", headline(now))];
    if (now.reading) {
      const stop = button("Stop", () => fetch(`pseudoword/v1/library/stop?${new URLSearchParams({ folder: state.folder })}`, { method: "POST" }));
      parts.push(bar(now.done, now.files || 1, "Files read"), stop);
    }
    parts.push(...now.skipped.map((text) => make("p", "warning", text)));
    status.replaceChildren(...parts);
  };

  const draw = (box, now) => {
    const place = box.querySelector(".pseudoword-library-rows");
    const scrolled = place.querySelector(".pseudoword-library-scroll")?.scrollTop ?? 0;
    const parts = now.found ? [table(now)] : [];
    if (now.all && !now.found) parts.push(make("p", "library-none", "Nothing fits what you are looking for."));
    place.replaceChildren(...parts);
    if (now.found) place.firstChild.scrollTop = scrolled;
    offerMore(place, now.found - now.rows.length);
  };

  const offerMore = (place, left) => {
    place.querySelector(".pseudoword-library-more")?.remove();
    if (left <= 0) return;
    place.append(button(`Show more (${left} left)`, async () => {
      const body = place.querySelector("tbody");
      const now = await (await asked(`library?${query({ first: body.childElementCount, count: 4 * ROWS })}`)).json();
      if (now.version !== state.version) return; // it is drawn anew in a moment
      body.append(...now.rows.map(line));
      offerMore(place, now.found - body.childElementCount);
    }, "library-button pseudoword-library-more"));
  };

  const furnished = (box) => {
    if (box.childElementCount) return;
    const status = make("div", "library-status");
    status.setAttribute("role", "status");
    box.append(toolbar(), status, make("div", "library-rows"));
  };

  let asking = 0;
  let answered = 0; // of those that were asked for
  let listed = -1;
  let last = {};
  let wasSeen = false;
  const look = async (more = {}) => {
    const box = document.getElementById("pseudoword-library");
    const isOpen = isSeen(document.getElementById("pseudoword_inspection")); // other tabs in it save words, too
    const hasClosed = wasSeen && !isOpen; // a last look: what was just saved gets its card
    wasSeen = isOpen;
    if (!box || (!isOpen && !hasClosed)) return;
    if (!box.childElementCount) more = { ...more, read: true }; // files may have come since somebody looked
    furnished(box);
    const mine = ++asking;
    try {
      const now = await (await asked(`library?${query({ count: ROWS, known: state.version, ...more })}`)).json();
      answered = Math.max(answered, mine);
      if (mine !== asking) return; // something else was asked for meanwhile
      last = { ...last, ...now };
      progress(last, box);
      if (!now.rows) return;
      draw(box, now);
      if (listed !== now.version) buttonCalled("refresh_words")?.click(); // the lists of words below
      if (listed !== -1 && listed !== now.version) refreshCards();
      listed = state.version = now.version;
    } catch (problem) {
      answered = Math.max(answered, mine);
      if (mine !== asking) return;
      state.version = -1;
      box.querySelector(".pseudoword-library-status").replaceChildren(make("p", "warning", problem.message));
    }
  };

  // Names of embeddings elsewhere in the panel open them, too.
  document.addEventListener("click", (event) => {
    const label = event.target.closest?.("[data-pseudoword-open]")?.dataset.pseudowordOpen;
    if (label !== undefined) fill("inspected", label);
  });

  const lookOn = async () => {
    if (answered === asking) await look();
    window.setTimeout(lookOn, last.reading ? READING_MS : wasSeen ? IDLE_MS : UNSEEN_MS);
  };

  // Whoever opens the tab wants to see it at once.
  document.addEventListener("click", () => { if (!wasSeen) window.requestAnimationFrame(() => look()); });

  lookOn();
})();
