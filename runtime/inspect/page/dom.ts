/** Small helpers for elements. What is shown is always text: nothing that came over the wire becomes markup. */

/** The element of the page with this id, which `html.ts` has. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = '',
  text = '',
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** Elements are only touched where something changed: a browser lays out anew what is touched. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setClass(element: Element, className: string): void {
  if (element.className !== className) element.className = className;
}

export function setAttribute(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** The children in this order; those that stand right are left alone. */
export function setChildren(parent: Element, wanted: readonly Element[]): void {
  for (const [i, child] of wanted.entries()) {
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
  }
  while (parent.children.length > wanted.length) parent.lastElementChild?.remove();
}
