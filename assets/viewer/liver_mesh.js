// The liver's smooth surface in the 3-D view, as a mesh of NiiVue; made when it is first looked at, and anew for another
// mask.

import { colours } from "./colours.js";
import { smoothSurface } from "./surface.js";

export class LiverMesh {
  constructor(nv, NVMesh) {
    Object.assign(this, { nv, NVMesh, mesh: null, version: null });
    drawOverVolumes(nv);
  }

  // overlay: the liver mask's volume; version: names its content.
  show(overlay, version, size, spacing_mm, opacity) {
    if (this.version !== version) {
      this.drop();
      this.version = version;
      this.mesh = this.build(overlay, size, spacing_mm);
      if (this.mesh) this.nv.addMesh(this.mesh);
    }
    if (this.mesh) Object.assign(this.mesh, { opacity, visible: opacity > 0 });
  }

  hide() {
    if (this.mesh) this.mesh.visible = false;
  }

  drop() {
    if (this.mesh) this.nv.removeMesh(this.mesh);
    Object.assign(this, { mesh: null, version: null });
  }

  build(overlay, size, spacing_mm) {
    const surface = smoothSurface(overlay.img, size, spacing_mm);
    if (!surface) return null;
    const { points, triangles } = surface;
    const rows = overlay.hdr.affine;
    for (let i = 0; i < points.length; i += 3) {
      const voxel = [points[i], points[i + 1], points[i + 2], 1];
      for (let row = 0; row < 3; row++) points[i + row] = rows[row].reduce((sum, value, k) => sum + value * voxel[k], 0);
    }
    const colour = Uint8Array.from([...colours.liver, 255]);
    return new this.NVMesh(points, facing(triangles, rows), "liver", colour, 1, true, this.nv.gl);
  }
}

// NiiVue hides a mesh behind the first voxels of the body that are not quite transparent: ours is seen through the body, so
// only its own parts hide each other.
function drawOverVolumes(nv) {
  const draw = nv.drawMesh3D.bind(nv);
  nv.drawMesh3D = (...settings) => {
    if (!nv.meshes.length) return;
    nv.gl.depthMask(true);
    nv.gl.clear(nv.gl.DEPTH_BUFFER_BIT);
    draw(...settings);
    nv.gl.depthMask(true);
  };
}

// Where the axes make a left-handed system, what faced outwards would face inwards.
function facing(triangles, [[a, b, c], [d, e, f], [g, h, i]]) {
  if (a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) > 0) return triangles;
  for (let k = 0; k < triangles.length; k += 3) [triangles[k + 1], triangles[k + 2]] = [triangles[k + 2], triangles[k + 1]];
  return triangles;
}
