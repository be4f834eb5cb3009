// One job of the list, unfolded, and two finished ones beside each other.
(() => {
  "use strict";

  const { make, number, picture, fill, button: plainButton } = window.pseudoword;
  const LABELS = { best_step: "best step", best_loss: "best validation loss", seconds: "seconds trained" };

  const moment = (seconds) => new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

  const inAbout = (seconds) => {
    if (seconds >= 5400) return `${Math.round(seconds / 3600)} h`;
    if (seconds >= 90) return `${Math.round(seconds / 60)} min`;
    return `${Math.max(1, Math.round(seconds))} s`;
  };

  const shown = (value) => {
    if (value === null || value === undefined || value === "") return "–";
    if (typeof value === "boolean") return value ? "yes" : "no";
    return typeof value === "number" && !Number.isInteger(value) ? number(value) : String(value);
  };

  // Of a row that unfolds when it is pressed elsewhere.
  const button = (text, action, kind = "") => plainButton(text, (event) => {
    event.stopPropagation();
    action(event.currentTarget);
  }, `job-button ${kind}`);

  const addressOf = (id, rest = "") => `pseudoword/v1/jobs/${encodeURIComponent(id)}${rest}`;

  const table = (titles, rows) => {
    const scroll = make("div", "job-scroll");
    const element = make("table", "job-table");
    const head = element.createTHead().insertRow();
    for (const title of titles) head.append(make("th", "job-head", title));
    const body = element.createTBody();
    for (const { name, values } of rows) {
      const line = body.insertRow();
      const cells = values.map(shown);
      line.append(make("th", "job-name", LABELS[name] ?? name.replaceAll("_", " ")), ...cells.map((value) => make("td", "job-value", value)));
      if (cells.length > 1 && cells.some((value) => value !== cells[0])) line.className = "pseudoword-job-differs";
    }
    scroll.append(element);
    return scroll;
  };

  const folded = (title, ...parts) => {
    const box = make("details", "job-folded");
    box.append(make("summary", "job-summary", title), ...parts);
    return box;
  };

  // The form of trainings may be in another tab.
  const press = (text, within) => {
    const tabs = within ? [...within.querySelectorAll("button[role=tab], .tab-nav button")] : [];
    tabs.find((tab) => tab.textContent.trim() === text)?.click();
  };

  const useSettings = (id) => {
    fill("cloned", id);
    press("Train", document);
    window.setTimeout(() => press("Pseudoword", document.getElementById("tab_train")), 100);
  };

  const logOf = (lines) => {
    const list = make("ol", "job-log");
    for (const [at, line] of lines) {
      const item = make("li", "job-line");
      item.append(make("time", "job-time", moment(at)), document.createTextNode(` ${line}`));
      list.append(item);
    }
    return list;
  };

  const pictures = (job) => {
    const box = make("div", "pictures");
    if (job.has_contact_sheet) box.append(picture(addressOf(job.id, "/contact-sheet.png"), `Training pictures, and ${job.title} before and after`));
    else for (const step of job.previews.slice(-2).reverse()) {
      const figure = make("figure", "preview");
      figure.append(picture(addressOf(job.id, `/previews/${step}.png`), `${job.title} after ${step} steps`), make("figcaption", "caption", `step ${step}`));
      box.append(figure);
    }
    if (job.has_history || job.previews.length) box.append(picture(addressOf(job.id, `/curve.png?v=${job.state}-${job.preview}-${Math.floor(job.done / 50)}`), `Loss of ${job.title} by step`));
    return box;
  };

  const trainingSet = (job) => {
    const box = make("div", "job-set");
    for (let place = 0; place < job.pictures; place += 1) {
      const image = make("img", "job-picture");
      image.loading = "lazy";
      image.alt = `Training picture ${place + 1}`;
      image.src = addressOf(job.id, `/pictures/${place}.jpg`);
      image.addEventListener("error", () => image.remove());
      box.append(image);
    }
    return box;
  };

  // What can be done with a job besides pausing it and so on; `act` sends it to the server.
  const further = (job, act) => {
    const box = make("div", "job-buttons");
    const hasEnded = ["finished", "stopped", "cancelled", "failed"].includes(job.state);
    if (job.kind === "training") box.append(button("Use its settings", () => useSettings(job.id)));
    if (!job.may_steer) return box;
    if (!job.alone) box.append(button(job.shared ? "Share no longer" : "Share with everybody", () => act(job.shared ? "unshare" : "share")));
    if (job.state === "waiting" && job.priority > -1) box.append(button("Let others go first", () => act("priority", { priority: -1 })));
    if (job.state === "waiting" && job.priority < 0) box.append(button("Wait as usual", () => act("priority", { priority: 0 })));
    if (job.state === "waiting" && job.admin && job.priority < 1) box.append(button("Let it go first", () => act("priority", { priority: 1 })));
    if (hasEnded || job.state === "paused") {
      box.append(button("Delete with its files", () => {
        if (window.confirm(`Delete ${job.title} with ${job.kind === "training" ? "its pictures, previews and checkpoint" : "all that came of it"}? This cannot be undone.`)) act("delete");
      }, "pseudoword-job-danger"));
    }
    return box;
  };

  const link = (address, name, text) => {
    const element = make("a", "link", text);
    element.href = address;
    element.download = name;
    return element;
  };

  // What came of a job that is no training, but for the first sentence, which its row says; its address is told to those
  // alone who may look into it.
  const outcome = (job) => {
    const box = make("div", "job-outcome");
    for (const sentence of job.says.slice(1)) box.append(make("p", "small", sentence));
    const at = `pseudoword/v1/${job.result}`;
    const isThere = job.result && ["finished", "stopped"].includes(job.state);
    if (job.kind === "layers" && job.result && job.done) box.append(picture(`${at}/sheet.png?v=${job.state}-${job.done}`, `The pictures of ${job.title}: ${job.about}`));
    if (job.kind === "layers" && isThere && job.says.length) box.append(link(`${at}/figures.csv`, "pseudoword-figures.csv", "Figures (CSV)"));
    if (job.kind === "scoring" && isThere) box.append(link(`${at}/scores.csv`, "pseudoword-scores.csv", "Scores (CSV)"));
    return box;
  };

  const details = (job, act) => {
    const settings = Object.entries(job.settings).map(([name, value]) => ({ name, values: [value] }));
    const parts = [further(job, act), job.kind === "training" ? pictures(job) : outcome(job)];
    if (job.pictures) parts.push(folded(`Training pictures (${job.pictures})`, trainingSet(job)));
    parts.push(folded("Settings", table(["setting", "value"], settings)), folded("Log", logOf(job.log)));
    return parts;
  };

  const themed = (address, alternative) => ["light", "dark"].map((theme) => {
    const plot = make("img", `plot pseudoword-in-${theme}`);
    plot.loading = "lazy"; // the one that is hidden is never asked for
    plot.src = `${address}?theme=${theme}`;
    plot.alt = alternative;
    return plot;
  });

  const comparison = (now, close) => {
    const titles = now.jobs.map((job) => job.title);
    const [one, other] = now.jobs.map((job) => job.id);
    const head = make("div", "job-buttons");
    head.append(make("h4", "job-title", `${titles[0]} beside ${titles[1]}`), button("Close", close));
    const sheets = make("div", "job-sheets");
    now.jobs.forEach((job, place) => {
      if (now.contact_sheets[place]) sheets.append(picture(addressOf(job.id, "/contact-sheet.png"), `Training pictures, and ${job.title} before and after`));
    });
    const settings = now.settings.filter(({ values }) => values[0] !== values[1]);
    const same = now.settings.filter(({ values }) => values[0] === values[1]);
    const found = now.figures.filter(({ values }) => values.some((value) => value !== undefined && value !== null));
    const plots = make("div", "job-plots");
    plots.append(...themed(addressOf(one, `/beside/${encodeURIComponent(other)}/curves.png`), `Validation loss of ${titles.join(" and ")} by step`));
    return [
      head,
      plots,
      table(["figure", ...titles], found),
      settings.length ? table(["setting", ...titles], settings) : make("p", "note", "Both have the same settings."),
      folded(`Settings that are the same (${same.length})`, table(["setting", ...titles], same)),
      sheets,
    ];
  };

  Object.assign(window.pseudoword, { jobs: { moment, inAbout, button, addressOf, details, comparison } });
})();
