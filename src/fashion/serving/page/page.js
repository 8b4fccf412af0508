// Talks to the service that this page came from. Nothing else is loaded, nothing is kept but the key of this tab.

const find = (id) => document.getElementById(id);
const KEY = "key";
const INK = 22; // pixels of the brush, about two pixels of what the model sees
let wanted = []; // predictions whose label is wanted; the first one is shown
let last = null; // id of the one before: it was named, or nobody here can name it
let latest = null; // what was asked last: the truth, if it is known, and the prediction once it is there

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (sessionStorage.getItem(KEY)) headers["X-API-Key"] = sessionStorage.getItem(KEY);
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The service does not answer.");
  }
  const content = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = new Error(content.error ?? `The service answered ${response.status}.`);
    throw Object.assign(error, { status: response.status });
  }
  return content;
}

const post = (path, content) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });

// What goes wrong is said where everybody sees it, until something goes right.
async function attempt(action) {
  try {
    await action();
    find("trouble").hidden = true;
  } catch (error) {
    if ([401, 403].includes(error.status)) find("unlock").hidden = false; // no key, or one that is not for this
    find("trouble").textContent = error.message;
    find("trouble").hidden = false;
    reveal(find("trouble"), find("trouble"));
  }
}

// Asks about a picture. Of the one before nothing is left, whatever comes of this one; a later one is not overtaken.
async function ask(address, send, truth = null) {
  const asked = (latest = { truth });
  clearAnswer();
  showGiven(address);
  await attempt(async () => {
    try {
      const found = await send();
      if (asked === latest) showAnswer(found);
    } catch (error) {
      if (asked !== latest) return;
      find("verdict").textContent = "No answer.";
      throw error;
    }
  });
}

function askAboutFile(file) {
  const form = new FormData();
  form.append("images", file, file.name || "picture.png");
  ask(URL.createObjectURL(file), () => call("/predict?seen=true", { method: "POST", body: form }));
}

const askAboutSample = (address, { image, label }) =>
  ask(address, () => post("/predict?seen=true", { images: [image] }), label);

function clearAnswer() {
  for (const id of ["answer", "truth", "abstain"]) find(id).hidden = true;
  for (const id of ["given", "seen"]) find(id).parentElement.hidden = true;
  find("thanks").textContent = "";
  find("verdict").textContent = "…";
}

function showGiven(address) {
  const given = find("given");
  URL.revokeObjectURL(given.src); // of the picture before; of other addresses nothing is revoked
  given.onload = () => {
    given.parentElement.hidden = false;
    given.style.imageRendering = given.naturalWidth < 100 ? "pixelated" : "auto";
  };
  given.src = address;
}

function showAnswer({ version, predictions: [prediction] }) {
  latest.prediction = prediction;
  find("verdict").textContent =
    `${prediction.predicted}, ${percent(prediction.confidence)} sure, says version ${version}.`;
  showTruth(prediction.predicted, latest.truth);
  find("drawn").hidden = !prediction.label_wanted || latest.truth !== null;
  find("abstain").hidden = !prediction.abstain;
  find("abstain").textContent = `But do not rely on it: ${prediction.explanation}.`;
  find("bars").replaceChildren(...Object.entries(prediction.probabilities).map((pair) => bar(pair, prediction)));
  paint(find("seen"), prediction.seen);
  find("seen").parentElement.hidden = false;
  find("label").value = prediction.predicted;
  find("answer").hidden = false;
  reveal(find("verdict"), find("said"));
}

// Of the test set the truth is known: there is nothing to correct, and nobody may learn from it.
function showTruth(predicted, truth) {
  const right = predicted === truth;
  find("truth").hidden = truth === null;
  find("truth").className = right ? "right" : "wrong";
  find("truth").textContent = right ? `Right: the test set says ${truth}, too.` : `Wrong: the test set says ${truth}.`;
  find("correct").hidden = truth !== null;
}

// On a phone, what is said may be out of sight.
function reveal(said, place) {
  const { top, bottom } = said.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) place.scrollIntoView();
}

function bar([name, probability], { predicted }) {
  const item = document.createElement("li");
  item.className = name === predicted ? "best" : "";
  const [label, track, share, number] = ["span", "div", "div", "span"].map((kind) => document.createElement(kind));
  label.textContent = name;
  track.className = "track";
  share.className = "share";
  share.style.setProperty("--share", probability);
  track.append(share);
  number.className = "number";
  number.textContent = percent(probability);
  item.append(label, track, number);
  return item;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function paint(canvas, image) {
  canvas.height = image.length;
  canvas.width = image[0].length;
  const pixels = image.flat().flatMap((grey) => [grey, grey, grey, 255]);
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), canvas.width), 0, 0);
}

async function showModel() {
  const model = await call("/model");
  find("model").textContent = `${model.model}, version ${model.version}`;
  find("label").replaceChildren(...model.classes.map((name) => new Option(name)));
  find("names").replaceChildren(...model.classes.map(nameButton));
}

function nameButton(name) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name;
  button.addEventListener("click", () => attempt(() => nameWanted(name)));
  return button;
}

// One picture after the other; when all that were fetched are named or passed over, others are fetched.
async function showWanted(note = "") {
  if (!wanted.length) wanted = await call(last ? `/wanted?after=${last}` : "/wanted");
  const there = wanted.length > 0;
  if (there) paint(find("unnamed"), wanted[0].image);
  for (const id of ["unnamed", "names", "skip"]) find(id).hidden = !there;
  find("noted").textContent = there || !note ? note : `${note} No other is waiting.`;
  find("wanted").hidden = !there && !note;
}

async function nameWanted(label) {
  find("names").inert = true; // a second click would be about the next picture
  try {
    await post("/feedback", { prediction_id: wanted[0].id, label, source: "asked" });
    last = wanted.shift().id;
    await showWanted(`Noted: ${label}.`);
  } finally {
    find("names").inert = false;
  }
}

function passOver() {
  last = wanted.shift().id;
  return showWanted("It stays unlabelled.");
}

async function showSamples() {
  const samples = await call("/samples");
  find("test-set").hidden = !samples.length;
  find("samples").replaceChildren(...samples.map(sampleButton));
}

function sampleButton({ image, label }) {
  const button = document.createElement("button");
  const canvas = document.createElement("canvas");
  button.type = "button";
  button.title = label;
  button.setAttribute("aria-label", `Test image: ${label}`);
  paint(canvas, image);
  button.append(canvas);
  button.addEventListener("click", () => askAboutSample(canvas.toDataURL(), { image, label }));
  return button;
}

// What the key is not for is left out.
async function showIfAllowed(id, show) {
  try {
    await show();
  } catch (error) {
    if (error.status !== 403) throw error;
    find(id).hidden = true;
  }
}

const start = () =>
  attempt(() =>
    Promise.all([showModel(), showIfAllowed("test-set", showSamples), showIfAllowed("wanted", showWanted)]),
  );

find("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, find("key").value);
  find("unlock").hidden = true;
  start();
});

function tell(label) {
  const { prediction } = latest;
  attempt(async () => {
    await post("/feedback", { prediction_id: prediction.id, label, source: "page" });
    if (prediction === latest.prediction) find("thanks").textContent = `Noted: ${label}.`;
  });
}

find("correct").addEventListener("submit", (event) => {
  event.preventDefault();
  tell(find("label").value);
});
find("confirm").addEventListener("click", () => tell(latest.prediction.predicted));

find("others").addEventListener("click", () => attempt(showSamples));
find("skip").addEventListener("click", () => attempt(passOver));
find("file").addEventListener("change", ({ target }) => {
  if (target.files.length) askAboutFile(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});

const drop = find("drop");
for (const name of ["dragover", "drop"]) {
  document.addEventListener(name, (event) => event.preventDefault()); // a file dropped beside it is not opened
}
drop.addEventListener("dragover", () => drop.classList.add("over"));
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", ({ dataTransfer }) => {
  drop.classList.remove("over");
  if (dataTransfer.files.length) askAboutFile(dataTransfer.files[0]);
});
document.addEventListener("paste", ({ clipboardData }) => {
  if (clipboardData.files.length) askAboutFile(clipboardData.files[0]);
});

const board = find("board");
const pen = board.getContext("2d");

function clear() {
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, board.width, board.height);
  Object.assign(pen, { strokeStyle: "#fff", lineWidth: INK, lineCap: "round", lineJoin: "round" });
}

function position(event) {
  const box = board.getBoundingClientRect();
  return [((event.clientX - box.left) * board.width) / box.width, ((event.clientY - box.top) * board.height) / box.height];
}

board.addEventListener("pointerdown", (event) => {
  board.setPointerCapture(event.pointerId);
  pen.beginPath();
  pen.moveTo(...position(event));
  pen.lineTo(...position(event));
  pen.stroke();
});
board.addEventListener("pointermove", (event) => {
  if (!event.buttons) return;
  pen.lineTo(...position(event));
  pen.stroke();
});
find("clear").addEventListener("click", clear);
find("ask").addEventListener("click", () => board.toBlob((blob) => askAboutFile(blob)));

clear();
start();
