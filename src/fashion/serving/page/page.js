// Talks only to the service that served this page. Nothing is stored except the key, for this tab.

const find = (id) => document.getElementById(id);
const KEY = "key";
const MOST_BARS = 12;
const INK = 22; // pixels of the brush, about two pixels of what the model sees
let wanted = []; // predictions to label; the first one is shown
let last = null; // id of the previous one: it was labelled or skipped
let latest = null; // the latest picture: its true label if known, and its prediction once there is one

const call = async (path, options) => (await answerOf(path, options)).json();

async function answerOf(path, options = {}) {
  const headers = { ...options.headers };
  if (sessionStorage.getItem(KEY)) headers["X-API-Key"] = sessionStorage.getItem(KEY);
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The service is not responding.");
  }
  if (!response.ok) {
    const content = await response.json().catch(() => ({}));
    const error = new Error(content.error ?? `The service returned status ${response.status}.`);
    throw Object.assign(error, { status: response.status });
  }
  return response;
}

const post = (path, content) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });

// Errors are shown at the top of the page until something succeeds.
async function attempt(action) {
  try {
    await action();
    find("trouble").hidden = true;
  } catch (error) {
    if ([401, 403].includes(error.status)) find("unlock").hidden = false; // no key, or one without the right
    find("trouble").textContent = error.message;
    find("trouble").hidden = false;
    reveal(find("trouble"), find("trouble"));
  }
}

// Classifies a picture. The previous result is cleared first; a late answer never replaces a newer one.
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
      find("verdict").textContent = "No prediction.";
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
  showPicture(find("given"), address);
}

function showPicture(image, address) {
  URL.revokeObjectURL(image.src); // frees the previous picture; other addresses are left alone
  image.onload = () => {
    image.parentElement.hidden = false;
    image.style.imageRendering = image.naturalWidth < 100 ? "pixelated" : "auto";
  };
  image.src = address;
}

function showAnswer({ version, predictions: [prediction] }) {
  latest.prediction = prediction;
  find("verdict").textContent =
    `${prediction.predicted}, ${percent(prediction.confidence)} confidence (model version ${version})`;
  showTruth(prediction.predicted, latest.truth);
  find("drawn").hidden = !prediction.label_wanted || latest.truth !== null;
  find("abstain").hidden = !prediction.abstain;
  find("abstain").textContent = `Do not rely on this answer: ${prediction.explanation}.`;
  showBars(prediction);
  paint(find("seen"), prediction.seen);
  find("seen").parentElement.hidden = false;
  offerLabels(false, prediction.predicted);
  find("answer").hidden = false;
  reveal(find("verdict"), find("said"));
}

// The labels of test images are known: there is nothing to correct, and nothing may be learned from them.
function showTruth(predicted, truth) {
  const right = predicted === truth;
  find("truth").hidden = truth === null;
  find("truth").className = right ? "right" : "wrong";
  find("truth").textContent = `${right ? "Correct" : "Incorrect"}: the test set label is ${truth}.`;
  find("correct").hidden = truth !== null;
}

// "Wrong" leads to the other classes; the answer itself is not among them.
function offerLabels(shown, predicted) {
  find("correction").hidden = !shown;
  find("deny").setAttribute("aria-expanded", shown);
  find("label").value = "";
  for (const option of find("label").options) option.hidden = option.disabled = option.value === predicted || !option.value;
}

// On a phone the result may be off screen.
function reveal(said, place) {
  const { top, bottom } = said.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) place.scrollIntoView();
}

// Of many classes only the most probable ones, in their order, and how many more there are.
function showBars(prediction) {
  const pairs = Object.entries(prediction.probabilities);
  const shown = pairs.length > MOST_BARS ? pairs.sort((one, other) => other[1] - one[1]).slice(0, MOST_BARS) : pairs;
  find("bars").replaceChildren(...shown.map((pair) => bar(pair, prediction)));
  find("rest").hidden = shown.length === pairs.length;
  find("rest").textContent = `and ${pairs.length - shown.length} less probable classes`;
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

const percent = (share) => `${(100 * share).toFixed(1)}%`;

function paint(canvas, image) {
  canvas.height = image.length;
  canvas.width = image[0].length;
  const pixels = image.flat().flatMap((pixel) => (Array.isArray(pixel) ? [...pixel, 255] : [pixel, pixel, pixel, 255]));
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), canvas.width), 0, 0);
}

async function showModel() {
  const model = await call("/model");
  find("model").textContent = `${model.model}, version ${model.version}`;
  find("label").replaceChildren(new Option("Choose a label", ""), ...model.classes.map((name) => new Option(name, name)));
  find("names").replaceChildren(...model.classes.map(nameButton));
}

function nameButton(name) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name;
  button.addEventListener("click", () => attempt(() => nameWanted(name)));
  return button;
}

// Shows one picture at a time; fetches more once all of these are labelled or skipped.
async function showWanted(note = "") {
  if (!wanted.length) wanted = await call(last ? `/wanted?after=${last}` : "/wanted");
  const there = wanted.length > 0;
  if (there) paint(find("unnamed"), wanted[0].image);
  for (const id of ["shown", "names", "skip"]) find(id).hidden = !there;
  find("sent").parentElement.hidden = true;
  find("noted").textContent = there || !note ? note : `${note} No more pictures to label.`;
  find("wanted").hidden = !there && !note;
  if (there && wanted[0].has_picture) await showSent(wanted[0].id);
}

// The picture as it was sent. It may have been removed, or labelled by someone else, in the meantime.
async function showSent(id) {
  try {
    const response = await answerOf(`/wanted/picture?id=${id}`);
    const address = URL.createObjectURL(await response.blob());
    if (wanted[0]?.id === id) showPicture(find("sent"), address);
  } catch (error) {
    if (error.status !== 404) throw error;
  }
}

async function nameWanted(label) {
  find("names").inert = true; // a second click would label the next picture
  try {
    await post("/feedback", { prediction_id: wanted[0].id, label, source: "asked" });
    last = wanted.shift().id;
    await showWanted(`Saved: ${label}.`);
  } finally {
    find("names").inert = false;
  }
}

function passOver() {
  last = wanted.shift().id;
  return showWanted("Skipped.");
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

// Hides what the key gives no right to.
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
    if (prediction !== latest.prediction) return;
    find("thanks").textContent = `Saved: ${label}.`;
    offerLabels(false, prediction.predicted);
  });
}

find("correct").addEventListener("submit", (event) => {
  event.preventDefault();
  tell(find("label").value);
});
find("confirm").addEventListener("click", () => tell(latest.prediction.predicted));
find("deny").addEventListener("click", () => {
  offerLabels(true, latest.prediction.predicted);
  find("label").focus();
});

find("others").addEventListener("click", () => attempt(showSamples));
find("skip").addEventListener("click", () => attempt(passOver));
find("file").addEventListener("change", ({ target }) => {
  if (target.files.length) askAboutFile(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});

const drop = find("drop");
for (const name of ["dragover", "drop"]) {
  document.addEventListener(name, (event) => event.preventDefault()); // keeps the browser from opening a file dropped elsewhere
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
