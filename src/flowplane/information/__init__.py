"""What each layer knows: estimators of mutual information, arrays in, numbers out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowplane.core.lazy import lazy

if TYPE_CHECKING:
    from flowplane.information.binned import Binned as Binned
    from flowplane.information.decodable import Decodable as Decodable
    from flowplane.information.estimator import Continuous as Continuous
    from flowplane.information.estimator import Estimator as Estimator
    from flowplane.information.gaussian import GaussianMI as GaussianMI
    from flowplane.information.ksg import KSG as KSG
    from flowplane.information.monte_carlo import MonteCarlo as MonteCarlo
    from flowplane.information.pairwise import Pairwise as Pairwise
    from flowplane.information.plateau import convergence as convergence
    from flowplane.information.renyi import MatrixRenyi as MatrixRenyi
    from flowplane.information.sliced import SlicedMI as SlicedMI
    from flowplane.information.variational import Variational as Variational
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
