"""Personal shape from outlines: what of the head the identity basis does not reach."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg, splu, spsolve

from avatar.render.mesh import vertex_normals
from avatar.rig import HeadRig
from pipeline.track.outline.silhouette import INNER, OUTLIER, REACH, Rim, hair

SMOOTH, SHRINK = 30.0, 1e-4  # of the offset: bending, length
FACE = 1.0  # of the offset's length on the face, which landmarks and identity know better
HAIR = 0.3  # weight of an outline beyond the mesh where hair may be
TINY = 1e-9  # of a distance; hidden hair that touches nothing known has none
EAR = 0.01  # m; how far an ear may stand off the mean head's


def static_offset(rig: HeadRig, rim: Rim) -> Float[np.ndarray, "V 3"]:
    """Smooth personal shape (m, rest pose) beyond the identity basis that meets the outlines.

    Minimises the outlines' misses, the squared uniform Laplacian of the offset (Sorkine et al.
    2004) and, weakly, the offset itself; robustly, by reweighting. Lids, lips and the neck stay
    where they are. Where hair may be the mesh is drawn in as firmly as on skin, but drawn out
    less: towards the hair's outline, which is what an avatar needs there. Far
    beyond an ear the outline is that of hair, which would blow the ear up.
    """
    held = _held(rig)
    free = np.flatnonzero(~held)
    laplacian = _laplacian(rig)
    smooth = laplacian[:, free]
    length = np.where(rig.masks["face"].numpy()[free], FACE, 0.0) + SHRINK
    regular = SMOOTH * (smooth.T @ smooth) + sparse.diags(length)
    rim = _inside_hair(rig, rim.on(~held))
    loose = np.where(hair(rig)[rim.vertices] & (rim.distances > 0), HAIR, 1.0)
    if "ears" in rig.masks:
        ears = rig.masks["ears"].numpy()[rim.vertices]
        loose[ears & (rim.distances > EAR)] = 0.0
    place = np.searchsorted(free, rim.vertices)
    seen = np.bincount(place, minlength=len(free))
    rows = np.repeat(np.arange(len(place)), 3)
    columns = (3 * place[:, None] + np.arange(3)).ravel()
    shape = (len(place), 3 * len(free))
    slopes = sparse.csr_matrix((rim.directions.ravel(), (rows, columns)), shape)
    # The three coordinates are coupled at the rim alone: as if they were not, the system
    # factorises in a moment, and conjugate gradients do the rest.
    apart = splu(
        (regular + sparse.diags((seen > 0) / 3)).tocsc(), permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0, options={"SymmetricMode": True},
    )  # fmt: skip
    nearly = LinearOperator((shape[1],) * 2, lambda x: apart.solve(x.reshape(-1, 3)).ravel())
    system = sparse.kron(regular, sparse.eye(3))
    moved = np.zeros(shape[1])
    for _ in range(3):
        miss = slopes @ moved - rim.distances
        limit = np.where(loose < 1, REACH, OUTLIER)
        # Often measured vertices say no more than others: a vertex's votes sum up to one.
        weight = sparse.diags(loose / seen[place] / (1 + (miss / limit) ** 2) ** 2)
        matrix = (system + slopes.T @ weight @ slopes).tocsr()
        moved, failed = cg(matrix, slopes.T @ (weight @ rim.distances), moved, M=nearly, rtol=1e-6)
        assert not failed
    offset = np.zeros((rig.num_verts, 3))
    offset[free] = moved.reshape(-1, 3)
    return _over_hidden_hair(rig, offset, rim, laplacian)


def _over_hidden_hair(
    rig: HeadRig, offset: Float[np.ndarray, "V 3"], rim: Rim, laplacian: sparse.csr_matrix
) -> Float[np.ndarray, "V 3"]:
    """Where hair may be and no outline passed, it stands off as far as around it.

    Smoothness alone would let it fade: on the back of the head, offsets to the left, to the right
    and upwards cancel. Their part along the normals is continued harmonically instead.
    """
    hidden = hair(rig) & rig.masks["skin"].numpy() & ~_held(rig)
    if "ears" in rig.masks:
        hidden &= ~rig.masks["ears"].numpy()
    hidden[rim.vertices] = False
    if not hidden.any():
        return offset
    normals = vertex_normals(rig.v_template.double().numpy(), rig.faces.numpy())
    distance = np.einsum("vk,vk->v", offset, normals)
    rows = laplacian[hidden]
    inner = rows[:, hidden] + TINY * sparse.eye(int(hidden.sum()))
    around = spsolve(inner.tocsc(), -rows[:, ~hidden] @ distance[~hidden])
    continued = offset.copy()
    continued[hidden] += (around - distance[hidden])[:, None] * normals[hidden]
    return continued


def _held(rig: HeadRig) -> Bool[np.ndarray, "V"]:
    held = np.zeros(rig.num_verts, bool)
    for name in (INNER | {"neck"}) & rig.masks.keys():
        held |= rig.masks[name].numpy()
    return held


def _inside_hair(rig: HeadRig, rim: Rim) -> Rim:
    """Where hair may be, no vertex is drawn out further than most of its frames allow.

    Hair stands off to one side in one frame and not in the next: what is under it lies within
    the alpha in all of them, as a visual hull does (Laurentini 1994).
    """
    order = np.lexsort((rim.distances, rim.vertices))
    starts = np.searchsorted(rim.vertices[order], rim.vertices, "left")
    counts = np.bincount(rim.vertices, minlength=rig.num_verts)[rim.vertices]
    low = rim.distances[order][starts + counts // 5]
    capped = np.minimum(rim.distances, np.maximum(low, 0))
    return replace(rim, distances=np.where(hair(rig)[rim.vertices], capped, rim.distances))


def _laplacian(rig: HeadRig) -> sparse.csr_matrix:
    """Vertex minus the mean of its neighbours."""
    faces = rig.faces.numpy()
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    ones = np.ones(len(edges))
    count = rig.num_verts
    neighbours = sparse.coo_matrix((ones, edges.T), (count, count)).tocsr()
    neighbours = neighbours + neighbours.T
    degree = np.maximum(np.asarray(neighbours.sum(1)).ravel(), 1)
    return sparse.csr_matrix(sparse.eye(count) - sparse.diags(1 / degree) @ neighbours)
