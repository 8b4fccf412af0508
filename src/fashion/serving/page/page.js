// Talks to the service that this page came from. Nothing else is loaded, nothing is kept but the key of this tab.

const find = (id) => document.getElementById(id);
const KEY = "key";
const INK = 22; // pixels of the brush, about two pixels of what the model sees
let latest = null;

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
  if (response.status === 401) find("unlock").hidden = false;
  if (!response.ok) throw new Error(content.error ?? `The service answered ${response.status}.`);
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
    find("trouble").textContent = error.message;
    find("trouble").hidden = false;
  }
}

const askAboutFile = (file) =>
  attempt(async () => {
    const form = new FormData();
    form.append("images", file, file.name || "picture.png");
    show(await call("/predict?seen=true", { method: "POST", body: form }));
  });

const askAboutPixels = (image) =>
  attempt(async () => show(await post("/predict?seen=true", { images: [image] })));

function show({ version, predictions: [prediction] }) {
  latest = prediction;
  find("verdict").textContent =
    `${prediction.predicted}, ${percent(prediction.confidence)} sure, says version ${version}.`;
  find("abstain").hidden = !prediction.abstain;
  find("abstain").textContent =
    prediction.reason === "unsure"
      ? "But it is not sure enough for an answer."
      : "But this is unlike all the pictures it knows.";
  find("bars").replaceChildren(...Object.entries(prediction.probabilities).map((pair) => bar(pair, prediction)));
  paint(find("seen"), prediction.seen);
  find("seen").setAttribute("aria-label", "The picture as the model saw it");
  find("label").value = prediction.predicted;
  find("thanks").textContent = "";
  find("answer").hidden = false;
  const { top, bottom } = find("verdict").getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) find("said").scrollIntoView(); // on a phone it is below the picture
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
  button.addEventListener("click", () => askAboutPixels(image));
  return button;
}

const start = () => attempt(() => Promise.all([showModel(), showSamples()]));

find("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, find("key").value);
  find("unlock").hidden = true;
  start();
});

find("correct").addEventListener("submit", (event) => {
  event.preventDefault();
  const label = find("label").value;
  attempt(async () => {
    await post("/feedback", { prediction_id: latest.id, label, source: "page" });
    find("thanks").textContent = `Noted: ${label}.`;
  });
});

find("others").addEventListener("click", () => attempt(showSamples));
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
