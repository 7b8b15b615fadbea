"""A linear-quadratic fine-tuning problem small enough to write down: the whole Jacobian in memory, solved directly."""
import torch


class RidgeProblem:
    """L(Δ) = 1/(2n) Σ ‖f0_i + J_i Δ − y_i‖² + λ/2 ‖Δ‖²; λ multiplies the mean loss, μ = λn the summed one."""

    def __init__(self, jacobian, f0, targets, ridge):
        self.n, self.classes = f0.shape
        self.j = jacobian.reshape(self.n * self.classes, -1)  # [n·C,P]
        self.f0, self.y, self.ridge = f0, targets, ridge  # [n,C]
        self.r = (targets - f0).reshape(-1)  # [n·C]

    def loss(self, delta):
        return ((self.j @ delta - self.r) ** 2).sum() / (2 * self.n) + self.ridge / 2 * delta @ delta

    def gradient(self, delta):
        return self.j.T @ (self.j @ delta - self.r) / self.n + self.ridge * delta

    def optimum(self):
        return self._solve(torch.ones(len(self.r), dtype=torch.bool), self.ridge * self.n)

    def _solve(self, rows, mu):
        """Δ* [P] for some of the rows of J, [n·C] bool, through K + μI."""
        j = self.j[rows]
        return j.T @ torch.linalg.solve(j @ j.T + mu * torch.eye(len(j)), self.r[rows])

    def leave_one_out(self, mu):
        """Predictions [n,C] of each sample by the model of the others, and the same by n retrainings.

        G = (K + μI)⁻¹, α = G r: y_i − f_{−i}(x_i) = (G_ii)⁻¹ α_i (DIVA, ICLR 2022). With λ fixed, μ is λ(n−1).
        """
        g = torch.linalg.inv(self.j @ self.j.T + mu * torch.eye(len(self.r)))
        alpha = g @ self.r
        closed, retrained = [], []
        for i in range(self.n):
            own = slice(i * self.classes, (i + 1) * self.classes)
            closed.append(self.y[i] - torch.linalg.solve(g[own, own], alpha[own]))
            others = torch.ones(len(self.r), dtype=torch.bool)
            others[own] = False
            retrained.append(self.f0[i] + self.j[own] @ self._solve(others, mu))
        return torch.stack(closed), torch.stack(retrained)
