/**
 * The inspector's page as it is served: markup and style, a constant of the program, so that the compiler alone builds
 * everything. Its scripts are compiled beside this file; `page.ts` is the one that begins. It names no address outside
 * of the copier.
 */
import { CSS } from './css.ts';

export const PAGE_HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Bronze Copier: inspector</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<style>${CSS}</style>
<script src="/page.js" type="module"></script>
<script src="/mermaid.js" defer></script>
</head>
<body>
<header>
  <h1 id="program">Bronze Copier</h1>
  <span id="connection" role="status">connecting…</span>
  <div id="eras" aria-label="eras"></div>
  <div role="tablist" aria-label="views">
    <button type="button" role="tab" id="tab-live" aria-controls="live" aria-selected="true">Live</button>
    <button type="button" role="tab" id="tab-hosted" aria-controls="hosted" aria-selected="false" tabindex="-1"
      title="Opening it sends what this run does to another address">Stately</button>
  </div>
</header>
<p id="stale" role="alert" hidden></p>
<ul id="failures" role="alert"></ul>
<main id="live" role="tabpanel" aria-labelledby="tab-live">
  <nav aria-label="actors">
    <ul id="actors"></ul>
    <p class="legend">
      <span class="running"><span class="dot"></span>running</span>
      <span class="waiting"><span class="dot"></span>waiting</span>
      <span class="idle"><span class="dot"></span>idle</span>
      <span class="done"><span class="dot"></span>done</span>
      <span class="failed"><span class="dot"></span>failed</span>
      <span class="stopped"><span class="dot"></span>stopped</span>
    </p>
  </nav>
  <section class="middle">
    <div class="bar">
      <h2 id="chart-title"></h2>
      <span id="last-transition"></span>
      <button type="button" id="fit" aria-pressed="false" title="The whole chart, in all of the window">fit</button>
    </div>
    <div id="chart" tabindex="0" role="region" aria-label="chart of the chosen actor"></div>
    <details id="context-box" open>
      <summary>context</summary>
      <div id="context" tabindex="0" role="region" aria-label="context of the chosen actor"></div>
    </details>
  </section>
  <section class="right" aria-label="events">
    <div class="bar">
      <h2>events <small id="event-count">0</small></h2>
      <button type="button" id="pause" aria-pressed="false">pause</button>
    </div>
    <div class="bar">
      <input id="filter" type="search" placeholder="filter" aria-label="show events with this text">
      <label><input id="only-chosen" type="checkbox"> of the chosen actor</label>
    </div>
    <ol id="events" tabindex="0"></ol>
  </section>
</main>
<main id="hosted" role="tabpanel" aria-labelledby="tab-hosted" hidden>
  <p>
    This tab shows the inspector at <code id="hosted-address"></code>. As long as it is open, this browser sends that page
    what this run does: actors, states, contexts and events. <span id="hosted-status" role="status"></span>
  </p>
  <div id="hosted-place"></div>
</main>
</body>
</html>
`;
