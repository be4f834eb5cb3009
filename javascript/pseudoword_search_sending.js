// Sends a picture that was found to the WebUI's other tabs, or into the form of a training.
(() => {
  "use strict";

  const { fileAt } = window.pseudoword;

  let sent = 0;
  const toImg2img = async (picture) => {
    await fileAt(picture.address, picture.name); // where it is gone, this says so
    sent += 1;
    window.pseudoword.fill("sent", `${picture.id} ${sent}`); // the server puts it there with its prompt and settings, and opens the tab
    return "Sending …";
  };

  const toPngInfo = async (picture) => {
    const file = await fileAt(picture.address, picture.name);
    const target = document.getElementById("pnginfo_image");
    window.pseudoword.openTabsOf(target);
    const carrier = new DataTransfer();
    carrier.items.add(file);
    const input = target.querySelector("input[type=file]");
    if (input) {
      input.files = carrier.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    } else {
      window.dropReplaceImage(target, carrier.files); // the WebUI's own way to replace a picture
    }
    return "It is in PNG info.";
  };

  const waitFor = async (found, patience) => {
    for (const ends = Date.now() + patience; Date.now() < ends; ) {
      const element = found();
      if (element) return element;
      await new Promise((go) => window.setTimeout(go, 50));
    }
    return null;
  };

  const LINKS = "a[href][download]"; // of the files that have arrived
  const SETTLED_MS = 800;
  const TRIES = 3;

  // The WebUI's Gradio loses an upload during which the server answers to the change before: then it is done once more.
  const putInto = async (target, files) => {
    const field = () => target.querySelector("input[type=file]");
    for (let tries = 0; tries < TRIES; tries += 1) {
      if (!field()) {
        target.querySelector("button[aria-label=Clear], button[title=Clear], button[aria-label=Remove]")?.click();
        await new Promise((go) => window.setTimeout(go, SETTLED_MS * (tries + 1)));
      }
      const input = await waitFor(field, 5000);
      if (!input) break;
      const carrier = new DataTransfer();
      for (const one of files) carrier.items.add(one);
      input.files = carrier.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
      if (await waitFor(() => linksIn(target).length === files.length, 10000)) return;
    }
    throw new Error("The training form does not take files just now; clear its pictures, and try again.");
  };

  const linksIn = (target) => [...new Map([...target.querySelectorAll(LINKS)].map((link) => [link.href, link])).values()];

  // The field may hold files already: they are put in again, together with the new one.
  let isSending = false;
  const toTraining = async (picture) => {
    if (isSending) return "Another picture is on its way; try again in a moment.";
    isSending = true;
    try {
      const file = await fileAt(picture.address, picture.name);
      const target = document.getElementById("pseudoword_pictures");
      const there = await Promise.all(linksIn(target).map((link) => (
        fileAt(link.href, link.download || decodeURIComponent(link.href.split("/").pop()))
      )));
      if (there.some((one) => one.name === file.name && one.size === file.size)) return "It is in the training set already.";
      await putInto(target, [...there, file]);
      return there.length ? `${there.length + 1} pictures in the training set.` : "1 picture in the training set.";
    } finally {
      isSending = false;
    }
  };

  window.pseudoword.sending = { toImg2img, toPngInfo, toTraining };
})();
