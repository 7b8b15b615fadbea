package org.lqf.bench.peers;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;

/** The verbs of {@link LqfTask} by libtorch. */
final class TorchTask implements Task {

  private final LqfTask.Verb verb;
  private final int threads;
  private final TorchNetwork network;
  private final Tensor images;
  private final Tensor targets;
  private final TorchNetwork.Primal primal; // of STEP_KEPT
  private boolean wanted; // the next run stores its result
  private float[] result = {};

  /**
   * @param style see {@link TorchNetwork}
   */
  TorchTask(Problem problem, int threads, LqfTask.Verb verb, TorchNetwork.Style style) {
    Torch.threads(threads);
    this.verb = verb;
    this.threads = threads;
    network = new TorchNetwork(problem.backbone(), problem.delta(), style);
    images = network.images(problem.images(), problem.n());
    targets = Torch.tensor(problem.targets(), problem.n(), problem.classes());
    primal = verb == LqfTask.Verb.STEP_KEPT ? network.keep(images) : null;
  }

  @Override
  public void run() {
    Torch.threads(threads);
    try (PointerScope scope = new PointerScope()) {
      switch (verb) {
        case INFERENCE -> store(network.scores(images));
        case JVP -> store(network.jvp(images));
        case PREDICT -> store(network.predict(images));
        case VJP -> store(network.vjp(images, targets));
        case STEP -> store(network.step(images, targets, Problem.RIDGE));
        case STEP_KEPT -> store(network.keptStep(images, primal, targets, Problem.RIDGE));
      }
    }
    Torch.blasThreads(1);
  }

  private void store(Tensor tensor) {
    if (wanted) {
      result = Torch.toArray(tensor);
    }
  }

  private void store(TensorVector tensors) {
    if (wanted) {
      List<float[]> parts = new ArrayList<>();
      int length = 0;
      for (long i = 0; i < tensors.size(); i++) {
        float[] part = Torch.toArray(tensors.get(i));
        parts.add(part);
        length += part.length;
      }
      result = new float[length];
      int at = 0;
      for (float[] part : parts) {
        System.arraycopy(part, 0, result, at, part.length);
        at += part.length;
      }
    }
  }

  @Override
  public float[] result() {
    wanted = true;
    run();
    wanted = false;
    return result;
  }

  @Override
  public void close() {}
}
