// Asks the server for each slice; while one is on its way only the latest wish is kept.
export class ServerDrawing {
  constructor(stage, owner) {
    this.owner = owner;
    this.image = document.createElement("img");
    this.image.alt = "";
    stage.querySelector(".frv-picture").replaceChildren(this.image);
  }

  async load(value) {
    if (this.loaded !== value.case) this.image.removeAttribute("src");
    this.loaded = value.case;
  }

  draw(state) {
    this.wish = {
      case: this.owner.value.case,
      plane: state.plane,
      index: this.owner.index,
      window: state.window,
      inverted: state.inverted,
      outline: this.owner.opacity("outline"),
      fill: this.owner.opacity("liver"),
      heat: this.owner.opacity("heat"),
      doubt: this.owner.opacity("doubt"),
      organs: this.owner.opacity("organs"),
    };
    if (!this.busy) this.work();
  }

  async work() {
    this.busy = true;
    while (this.wish) {
      const wish = this.wish;
      this.wish = null;
      try {
        const picture = await this.owner.server.draw(wish);
        if (picture && this.owner.value?.case === wish.case) this.image.src = picture;
      } catch (error) {
        console.warn("viewer: the server did not draw the slice:", error);
      }
    }
    this.busy = false;
  }
}
