// Brings pictures into the score panel, from the clipboard and the WebUI's galleries, and shows the CLIP models there are.
(() => {
  "use strict";

  const { make, button, bar, inWords, isSeen, buttonCalled, enable, aboutClip, asked, fileAt } = window.pseudoword;
  const EVERY_MS = 1000;
  const GALLERIES = ["txt2img", "img2img"];
  const MEGABYTE = 1024 * 1024;
  // Gradio 3.41 forgets what it uploads where another event ends meanwhile, such as that of the lists of models.
  const SETTLING_MS = 1000;
  const PATIENCE_MS = 5000;
  let pasted = 0;
  let isAsked = false; // for the models, since the panel came into view
  let refreshed = -Infinity;

  const panel = () => buttonCalled("score_start");

  const settled = async () => {
    const ends = performance.now() + PATIENCE_MS;
    const isBusy = () => !isAsked || performance.now() < refreshed + SETTLING_MS;
    while (isBusy() && performance.now() < ends) await new Promise((go) => window.setTimeout(go, 100));
  };

  // As if they were dropped into the panel's field; Gradio uploads them, and the panel puts them into its tray.
  const give = async (files) => {
    await settled();
    const field = document.querySelector("#pseudoword_score_pictures input[type=file]");
    if (!field || !files.length) return;
    const carrier = new DataTransfer();
    for (const file of files) carrier.items.add(file);
    field.files = carrier.files;
    field.dispatchEvent(new Event("change", { bubbles: true }));
  };

  document.addEventListener("paste", (event) => {
    if (!isSeen(panel())) return;
    const pictures = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    if (!pictures.length) return; // text, which belongs into the field it is pasted into
    event.preventDefault();
    // All that is copied on a page is called image.png.
    give(pictures.map((file) => { pasted += 1; return new File([file], `pasted-${pasted}.${file.name.split(".").pop()}`, { type: file.type }); }));
  });

  const nameIn = (address) => decodeURIComponent(address.split("?")[0].split("/").pop());

  const picturesOf = (gallery) => {
    const all = [...new Set([...gallery.querySelectorAll("img")].map((image) => image.src))].filter((address) => address);
    const single = all.filter((address) => !nameIn(address).startsWith("grid-")); // the WebUI's sheet of all of them
    return single.length ? single : all;
  };

  const take = async (tab, told) => {
    const addresses = picturesOf(document.getElementById(`${tab}_gallery`));
    if (!addresses.length) { told.textContent = `There is no picture in ${tab} yet.`; return; }
    told.textContent = "";
    try {
      await give(await Promise.all(addresses.map((address) => fileAt(address, nameIn(address)))));
    } catch (problem) {
      told.textContent = `The pictures cannot be read (${problem.message}).`;
    }
  };

  const drawSources = () => {
    const place = document.getElementById("pseudoword-score-sources");
    if (!place || place.childElementCount) return;
    const there = GALLERIES.filter((tab) => document.getElementById(`${tab}_gallery`));
    if (!there.length) return; // the studio has none
    const told = make("span", "small");
    told.setAttribute("role", "status");
    for (const tab of there) {
      place.append(button(`Take those of ${tab}`, () => take(tab, told), "score-button"));
    }
    place.append(told);
  };

  // ---- the CLIP models ----------------------------------------------------------------------------------------------

  let models = null; // as the server told them last

  const size = (bytes) => (bytes === null ? "" : bytes < 1e9 ? `${Math.max(1, Math.round(bytes / MEGABYTE))} MB` : `${(bytes / 1024 / MEGABYTE).toFixed(1)} GB`);

  const lineOf = (model) => {
    const line = document.createElement("tr");
    const cells = [model.name, size(model.bytes), model.origin];
    line.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    const marks = document.createElement("td");
    if (model.name === models.default) marks.append(make("span", "mark pseudoword-mark-good", "the best here"));
    if (!model.is_usable) marks.append(make("span", "mark pseudoword-mark-bad", "cannot be used"), make("small", "library-problem", model.problem));
    line.append(marks);
    return line;
  };

  const downloadSays = ({ name, state, message, seconds, done_bytes: done, total_bytes: total }) => {
    const far = done ? `${size(done)} of ${size(total)}, ${inWords(seconds / done * (total - done))}` : `for ${Math.round(seconds)} s so far`;
    const told = state === "downloading" ? `${name} is being downloaded: ${far}.` : message;
    const line = make("p", { downloading: "note", finished: "good", failed: "warning", cancelled: "note" }[state], told);
    line.setAttribute("role", "status");
    return state === "downloading" && done ? [line, bar(done, total, "Bytes downloaded")] : [line];
  };

  const drawModels = (place) => {
    const table = make("table", "nearest");
    const header = document.createElement("thead");
    const titles = ["On this disk", "Size", "Where from", ""].map((text) => Object.assign(document.createElement("th"), { textContent: text }));
    header.append(document.createElement("tr"));
    header.firstChild.append(...titles);
    const body = document.createElement("tbody");
    body.append(...models.here.map(lineOf));
    table.append(header, body);
    const scroll = make("div", "word-scroll");
    scroll.append(table);
    const told = models.download ? downloadSays(models.download) : [];
    if (models.no_download) told.push(make("p", "note", models.no_download));
    place.replaceChildren(scroll, ...told);
  };

  // Beside the choice of a model, whose first entry is no model's name.
  const drawNote = () => {
    const place = document.getElementById("pseudoword-clip-note");
    if (!place) return;
    const chosen = document.querySelector("#pseudoword_score_model input")?.value;
    const name = models.here.some((one) => one.name === chosen) ? chosen : "";
    const key = JSON.stringify([name, models.default, models.here.length]);
    if (place.dataset.shown === key && place.childElementCount) return;
    place.dataset.shown = key;
    place.replaceChildren(aboutClip(models, name));
  };

  let drawn = null;

  const lookAtModels = async () => {
    if (!isSeen(panel())) { isAsked = false; return; }
    const isUnderWay = models?.download?.state === "downloading";
    const place = document.getElementById("pseudoword-clips");
    if (!isAsked || isUnderWay || isSeen(place)) {
      try {
        const before = JSON.stringify([models?.here, models?.elsewhere]);
        models = await (await asked("clips")).json();
        if (JSON.stringify([models.here, models.elsewhere]) !== before || !isAsked) {
          refreshed = performance.now();
          buttonCalled("refresh_clips")?.click();
        }
        isAsked = true;
      } catch (problem) {
        place?.replaceChildren(make("p", "warning", `The models cannot be listed (${problem.message}).`));
        return;
      }
    }
    if (models) {
      drawNote();
      const isDownloading = models.download?.state === "downloading";
      enable("clip_download", !models.no_download && !isDownloading);
      enable("clip_cancel", !models.no_download && isDownloading);
    }
    const now = JSON.stringify(models);
    if (place && models && (now !== drawn || !place.childElementCount)) { drawModels(place); drawn = now; }
  };

  const lookAgain = async () => {
    drawSources();
    await lookAtModels();
    window.setTimeout(lookAgain, EVERY_MS);
  };

  window.setTimeout(lookAgain, EVERY_MS);
})();
