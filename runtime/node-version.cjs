/**
 * Ends with one sentence where Node is too old, before it meets syntax or a package that it does not know. The scripts
 * of package.json call it; rolldown.config.mjs puts the same function before every entry in dist/bin.
 * It must parse on any Node since version 8: nothing here is younger than 2015.
 */
function refuseOldNode(wanted) {
  var own = process.versions.node.split('.');
  if (+own[0] > wanted[0] || (+own[0] === wanted[0] && +own[1] >= wanted[1])) return;
  console.error(
    'Bronze Copier needs Node.js ' +
      wanted.join('.') +
      ' or newer, and this is ' +
      process.versions.node +
      ' (' +
      process.execPath +
      ').',
  );
  process.exit(2);
}

/** Major and minor version, from `engines` of package.json. */
var wanted = require('../package.json')
  .engines.node.match(/(\d+)\.(\d+)/)
  .slice(1)
  .map(Number);

exports.guard = `(${refuseOldNode})(${JSON.stringify(wanted)});`;

if (require.main === module) refuseOldNode(wanted);
