// Shows the page at this address with the key of this tab; a browser that follows a link cannot send one.

const find = (id) => document.getElementById(id);
const KEY = "key"; // as in page.js

// Scripts in what is shown do not run: DOMParser makes them inert, and the policy of this page forbids them.
function show(page) {
  const found = new DOMParser().parseFromString(page, "text/html");
  document.documentElement.replaceChildren(...document.adoptNode(found.documentElement).childNodes);
}

function showPicture(content) {
  const picture = new Image();
  picture.src = URL.createObjectURL(content);
  picture.alt = decodeURIComponent(location.pathname.split("/").pop());
  picture.style.maxWidth = "100%";
  document.body.replaceChildren(picture);
}

async function open() {
  const key = sessionStorage.getItem(KEY);
  find("unlock").hidden = false;
  if (!key) return;
  try {
    const response = await fetch(location.href, { headers: { "X-API-Key": key } });
    if (!response.ok) throw new Error((await response.json()).error);
    if (response.headers.get("Content-Type").startsWith("image/")) showPicture(await response.blob());
    else show(await response.text());
  } catch (error) {
    find("trouble").textContent = error.message;
    find("trouble").hidden = false;
  }
}

find("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, find("key").value);
  open();
});

open();
