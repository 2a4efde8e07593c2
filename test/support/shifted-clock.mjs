/** Loaded before a program (`NODE_OPTIONS=--import`): its clock is SHIFTED_BY_MS wrong, in every thread. */
const by = Number(process.env.SHIFTED_BY_MS);
const Real = Date;
globalThis.Date = class extends Real {
  constructor(...args) {
    if (args.length === 0) super(Real.now() + by);
    else super(...args);
  }
  static now() {
    return Real.now() + by;
  }
};
