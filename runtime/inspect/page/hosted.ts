/**
 * The second tab: Stately's own inspector, in a frame. Nothing is asked of its address before the tab is opened, and no
 * frame is sent before the page in it says that it is there. Only that page, at that address, is listened and spoken to.
 */
import { byId, make, setText } from './dom.ts';
import { isObject } from './frames.ts';
import type { Relay } from './relay.ts';

export class HostedTab {
  readonly #url: URL;
  readonly #relay: Relay;
  readonly #status = byId('hosted-status');
  #frame: HTMLIFrameElement | null = null;

  /** @throws TypeError where the address is none. */
  constructor(address: string, relay: Relay) {
    this.#url = new URL(address);
    this.#relay = relay;
    setText(byId('hosted-address'), this.#url.href);
    addEventListener('message', (event) => this.#hear(event));
  }

  /** Called whenever the tab is shown. */
  open(): void {
    if (this.#frame !== null) return;
    this.#frame = make('iframe');
    this.#frame.title = 'Stately inspector';
    this.#frame.referrerPolicy = 'no-referrer';
    this.#load();
    byId('hosted-place').append(this.#frame);
  }

  /** Another run began: session ids are given anew, so what the hosted page knows would be mixed with it. */
  restart(): void {
    if (this.#frame !== null) this.#load();
  }

  #load(): void {
    setText(this.#status, 'waiting for the page to say that it is there…');
    if (this.#frame !== null) this.#frame.src = this.#url.href;
  }

  #hear(event: MessageEvent): void {
    const target = this.#frame?.contentWindow;
    if (!target || event.source !== target || event.origin !== this.#url.origin) return;
    if (!isObject(event.data) || event.data.type !== '@statelyai.connected') return;
    setText(this.#status, 'connected: frames are sent');
    this.#relay.connect((frame) => target.postMessage(frame, this.#url.origin));
  }
}
