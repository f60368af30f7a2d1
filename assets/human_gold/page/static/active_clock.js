// Seconds that a pair was really looked at: the page in sight, and a sign of life within the idle limit.

export class ActiveClock {
  // now: gives milliseconds that never go back; visible: whether the page is in sight.
  constructor(idleSeconds, now = () => performance.now(), visible = () => document.visibilityState === "visible") {
    this.idleMs = idleSeconds * 1000;
    this.now = now;
    this.visible = visible;
    this.begin(0);
  }

  begin(seconds) {
    this.totalMs = seconds * 1000;
    this.countedUntil = this.lastSign = this.now();
    this.wasVisible = this.visible();
  }

  // Whatever happened since the last call counts up to the idle limit after the last sign of life.
  count() {
    const now = this.now();
    if (this.wasVisible) {
      const end = Math.min(now, this.lastSign + this.idleMs);
      this.totalMs += Math.max(0, end - this.countedUntil);
    }
    this.countedUntil = now;
    this.wasVisible = this.visible();
  }

  sign() {
    this.count();
    this.lastSign = this.now();
  }

  seconds() {
    this.count();
    return Math.round(this.totalMs / 100) / 10;
  }
}
