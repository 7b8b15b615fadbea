package org.lqf.bench.peers;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.util.Map;
import org.lqf.model.Shape;

/** f(x; w0) by ONNX Runtime: all graph optimisations, tensors made once. */
final class OnnxTask implements Task {

  private static final OrtEnvironment ENVIRONMENT = OrtEnvironment.getEnvironment();

  private final OrtSession session;
  private final OnnxTensor images;
  private final float[] scores;

  /**
   * @param spinning whether idle workers spin for a while: better or worse, depending on the size
   */
  OnnxTask(Problem problem, int threads, boolean spinning) throws OrtException {
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setIntraOpNumThreads(threads);
      options.setInterOpNumThreads(1);
      options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
      options.addConfigEntry("session.intra_op.allow_spinning", spinning ? "1" : "0");
      session = ENVIRONMENT.createSession(OnnxFile.of(problem.backbone()), options);
    }
    Shape shape = problem.backbone().input().shape();
    long[] extents = {problem.n(), shape.channels(), shape.height(), shape.width()};
    images = OnnxTensor.createTensor(ENVIRONMENT, problem.directImages(), extents);
    scores = new float[problem.n() * problem.classes()];
  }

  @Override
  public void run() throws OrtException {
    try (OrtSession.Result result = session.run(Map.of(OnnxFile.INPUT, images))) {
      ((OnnxTensor) result.get(0)).getFloatBuffer().get(scores);
    }
  }

  @Override
  public float[] result() {
    return scores;
  }

  @Override
  public void close() throws OrtException {
    images.close();
    session.close();
  }
}
