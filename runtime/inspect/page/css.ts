/**
 * The style of the inspector's page, for light and dark. A colour means how an actor is, in the tree, in the header and
 * in its chart, and nothing else has one. No font, image or sheet comes from elsewhere.
 */
export const CSS = `
:root {
  color-scheme: light dark;
  --back: #fbfaf8; --panel: #fff; --line: #d9d4cc; --text: #23201c; --soft: #6d665d; --chosen: #f3e4cf;
  --running: #2f6fb5; --waiting: #b07a00; --idle: #9a948b; --done: #3a8a4c; --failed: #c62f2f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #1b1a18; --panel: #242220; --line: #413d38; --text: #e8e3dc; --soft: #a59d92; --chosen: #45362288;
    --running: #6aa9ee; --waiting: #e0ac3e; --idle: #7d776f; --done: #6cc07f; --failed: #ff6b63;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html, body { height: 100%; margin: 0; }
body {
  display: flex; flex-direction: column; background: var(--back); color: var(--text);
  font: 13px/1.4 system-ui, sans-serif;
}
header {
  display: flex; flex-wrap: wrap; align-items: center; gap: 6px 12px; padding: 6px 10px;
  border-bottom: 1px solid var(--line); background: var(--panel);
}
h1, h2 { margin: 0; font-size: 13px; font-weight: 600; white-space: nowrap; }
button, input { font: inherit; color: inherit; }
button { background: none; border: 1px solid var(--line); border-radius: 4px; padding: 1px 8px; cursor: pointer; }
button[aria-pressed=true], button[aria-selected=true] { background: var(--chosen); }
:focus-visible { outline: 2px solid var(--text); outline-offset: -1px; }
#connection.on { color: var(--soft); }
#connection.off { font-weight: 600; }
#eras { display: flex; flex: 1; flex-wrap: wrap; gap: 6px; min-width: 0; }
.era { display: flex; align-items: center; gap: 8px; border-left-width: 4px; text-align: left; }
.era progress { width: 90px; height: 6px; accent-color: var(--soft); }
.era .progress { color: var(--soft); font-variant-numeric: tabular-nums; }
.era.running { border-left-color: var(--running); }
.era.waiting { border-left-color: var(--waiting); }
.era.idle, .era.stopped { border-left-color: var(--idle); }
.era.done { border-left-color: var(--done); }
.era.failed { border-color: var(--failed); }
.era.failed b, .era.failed .progress { color: var(--failed); }
#stale { margin: 0; padding: 4px 10px; background: var(--chosen); border-bottom: 1px solid var(--line); }
#failures { margin: 0; padding: 0; list-style: none; }
#failures li { padding: 4px 10px; border-bottom: 1px solid var(--line); border-left: 4px solid var(--failed); overflow-wrap: anywhere; }
#failures li > span { display: block; }
main { flex: 1; min-height: 0; }
#live { display: grid; grid-template-columns: minmax(220px, 340px) minmax(300px, 1fr) minmax(240px, 360px); }
#live > * { min-height: 0; min-width: 0; display: flex; flex-direction: column; }
nav { border-right: 1px solid var(--line); background: var(--panel); }
nav ul { list-style: none; margin: 0; padding: 0 0 0 14px; }
#actors { flex: 1; overflow: auto; padding: 4px; }
#actors button {
  display: flex; align-items: baseline; gap: 6px; width: 100%; border: 0; border-radius: 3px; padding: 1px 4px;
  text-align: left; white-space: nowrap; overflow: hidden;
}
#actors button[aria-current=true] { background: var(--chosen); }
.dot { flex: none; width: 8px; height: 8px; border-radius: 50%; background: var(--idle); align-self: center; }
.name { flex: none; font-weight: 600; }
.state { color: var(--soft); }
.effects { color: var(--text); overflow: hidden; text-overflow: ellipsis; font-size: 12px; }
.effects:not(:empty)::before { content: '\\21bb '; }
.running > .dot, .running > button > .dot { background: var(--running); }
.waiting > .dot, .waiting > button > .dot { background: var(--waiting); }
.done > .dot, .done > button > .dot { background: var(--done); }
.failed > .dot, .failed > button > .dot, .failed-below > button > .dot { background: var(--failed); }
.failed > button > .name, .failed > button > .state, .failed-below > button > .name { color: var(--failed); }
.stopped > .dot, .stopped > button > .dot { background: none; border: 1px solid var(--idle); }
.waiting > button > .state { color: var(--waiting); }
.stopped > button > span { opacity: .65; }
.legend { margin: 0; padding: 4px 8px; border-top: 1px solid var(--line); color: var(--soft); font-size: 11px; }
.legend > span { margin-right: 8px; white-space: nowrap; }
.legend .dot { display: inline-block; margin-right: 3px; }
.bar { display: flex; align-items: center; gap: 8px; padding: 4px 8px; border-bottom: 1px solid var(--line); }
.bar label { color: var(--soft); white-space: nowrap; }
#last-transition { flex: 1; color: var(--soft); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
#chart { flex: 3; overflow: auto; padding: 8px; min-height: 0; }
#chart svg { display: block; height: auto; }
#chart { --lit: var(--running); }
#chart.waiting { --lit: var(--waiting); }
#chart.idle, #chart.stopped { --lit: var(--idle); }
#chart.done { --lit: var(--done); }
#chart.failed { --lit: var(--failed); }
#chart .lit > rect, #chart .lit > circle, #chart .lit > path, #chart .lit > .basic {
  fill: var(--lit) !important; stroke: var(--lit) !important;
}
#chart .lit .nodeLabel, #chart .lit .nodeLabel p { color: var(--panel) !important; }
#chart .lit-around > g > rect.outer, #chart .lit > g > rect.outer { stroke: var(--lit) !important; stroke-width: 3px !important; }
#live.fitted { grid-template-columns: 1fr; }
#live.fitted > nav, #live.fitted > .right, #live.fitted #context-box { display: none; }
.hint { color: var(--soft); }
#context-box { flex: none; border-top: 1px solid var(--line); background: var(--panel); }
#context-box > summary { padding: 3px 8px; cursor: pointer; font-weight: 600; }
#context { height: 210px; overflow: auto; padding: 0 8px 6px; font: 12px/1.45 ui-monospace, monospace; }
.field summary { cursor: pointer; }
.field .key { font-weight: 600; margin-right: 8px; }
div.field { padding-left: 14px; }
.field .value { overflow-wrap: anywhere; }
.field pre { margin: 2px 0 6px 14px; white-space: pre-wrap; overflow-wrap: anywhere; }
.right { border-left: 1px solid var(--line); background: var(--panel); }
.right h2 { flex: 1; }
.right small { color: var(--soft); font-weight: 400; font-variant-numeric: tabular-nums; }
#filter { flex: 1; min-width: 60px; border: 1px solid var(--line); border-radius: 4px; background: var(--back); padding: 1px 6px; }
#events { flex: 1; overflow: auto; list-style: none; margin: 0; padding: 0; font-size: 12px; }
#events li { padding: 2px 8px; border-bottom: 1px solid var(--line); contain: content; }
.event-head { display: flex; gap: 6px; align-items: baseline; white-space: nowrap; }
.event-head b { overflow: hidden; text-overflow: ellipsis; font-weight: 600; }
#events time { flex: none; color: var(--soft); font-variant-numeric: tabular-nums; }
#events .result { flex: none; font-weight: 600; }
#events .who { color: var(--soft); }
#events .detail { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--soft); font-size: 11px; }
@media (max-width: 760px) {
  html, body { height: auto; }
  #eras { flex: 0 0 100%; order: 1; }
  #live { grid-template-columns: 1fr; }
  nav, .right { border: 0; border-bottom: 1px solid var(--line); }
  #actors { max-height: 40vh; }
  #chart { flex: none; height: 60vh; }
  #events { flex: none; height: 60vh; }
  #hosted { height: 90vh; }
  .bar { flex-wrap: wrap; }
  .era { flex-wrap: wrap; }
  button, input, #context-box > summary { min-height: 32px; }
}
#hosted { display: flex; flex-direction: column; }
#hosted p { margin: 0; padding: 6px 10px; border-bottom: 1px solid var(--line); }
#hosted-place { flex: 1; display: flex; }
#hosted iframe { flex: 1; border: 0; background: #fff; }
`;
