"use strict";

// The pages do without this file. It adds the reader's own time to each time, and the key "/" to search.
for (const time of document.querySelectorAll("time")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) time.title = at.toLocaleString();
}

document.addEventListener("keydown", (event) => {
  const search = document.querySelector("[data-search]");
  const writes = event.target.closest("input, select, textarea");
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || writes || !search) return;
  event.preventDefault();
  search.focus();
});
