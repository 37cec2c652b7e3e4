// Keeps a page current: fetches it every five seconds, replaces what has changed, and says so when that fails.
(() => {
  "use strict";
  const EVERY = 5000;
  const apart = Date.parse(document.body.dataset.now) - Date.now();
  const offset = Math.abs(apart) < 3000 ? 0 : apart; // less is the time that the page took to get here
  const notice = document.getElementById("contact");
  const asOf = document.getElementById("as-of");
  let tag = null;
  let shown = location.href;

  Idiomorph.defaults.ignoreActiveValue = true;
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
    !(name === "open" && node.nodeName === "DETAILS") && !(name === "title" && node.nodeName === "TIME");

  const age = (seconds) => {
    const left = Math.max(0, Math.floor(seconds));
    if (left < 120) return `${left} s`;
    if (left < 7200) return `${Math.floor(left / 60)} min`;
    return left < 172800 ? `${Math.floor(left / 3600)} h` : `${Math.floor(left / 86400)} d`;
  };
  const count = () => {
    for (const time of document.querySelectorAll("time[data-age]")) {
      const passed = (Date.now() + offset - Date.parse(time.dateTime)) / 1000;
      const form = time.dataset.age;
      const text =
        form === "in" ? (passed < 0 ? `in ${age(-passed)}` : "due now") : age(passed) + (form === "ago" ? " ago" : "");
      if (time.textContent !== text) time.textContent = text;
      const title = `${time.dateTime.slice(0, 19).replace("T", " ")} UTC, ${new Date(time.dateTime).toLocaleString()} here`;
      if (time.title !== title) time.title = title;
    }
  };
  const reached = () => {
    notice.hidden = true;
    const now = new Date(Date.now() + offset);
    asOf.dateTime = now.toISOString();
    asOf.textContent = `${now.toISOString().slice(11, 19)} UTC`;
  };
  const lost = (why) => {
    notice.textContent = `${why} What you see is as of ${asOf.textContent}.`;
    notice.hidden = false;
  };
  const refresh = () => {
    count();
    // A refresh would end a request that is under way, such as an action or a filter.
    if (!document.hidden && !document.querySelector(".htmx-request")) htmx.trigger("#live", "refresh");
  };

  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.triggeringEvent?.type === "refresh" && tag && shown === location.href)
      event.detail.headers["If-None-Match"] = tag;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr } = event.detail;
    if (xhr.status === 304) {
      reached();
    } else if (xhr.responseText.includes('id="live"')) {
      tag = xhr.getResponseHeader("ETag");
      reached();
    } else {
      event.detail.shouldSwap = false;
      lost(xhr.status < 400 ? "Your session may have ended: reload this page." : `The server answered ${xhr.status}.`);
    }
  });
  document.addEventListener("htmx:afterSettle", () => {
    shown = location.href;
    count();
  });
  document.addEventListener("htmx:sendError", () => lost("The server does not answer."));
  document.addEventListener("htmx:timeout", () => lost("The server does not answer."));
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, EVERY);
})();
