package org.lqf.bench.vendor;

import static org.bytedeco.cuda.global.nvml.NVML_CLOCK_MEM;
import static org.bytedeco.cuda.global.nvml.NVML_CLOCK_SM;
import static org.bytedeco.cuda.global.nvml.nvmlDeviceGetClockInfo;
import static org.bytedeco.cuda.global.nvml.nvmlDeviceGetHandleByIndex_v2;
import static org.bytedeco.cuda.global.nvml.nvmlDeviceGetMaxClockInfo;
import static org.bytedeco.cuda.global.nvml.nvmlDeviceGetPowerManagementLimit;
import static org.bytedeco.cuda.global.nvml.nvmlInit_v2;
import static org.bytedeco.cuda.global.nvml.nvmlShutdown;
import static org.bytedeco.cuda.global.nvml.nvmlSystemGetDriverVersion;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.bytedeco.cuda.cudart.cudaDeviceProp;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.cuda.global.cudnn;
import org.bytedeco.cuda.nvml.nvmlDevice_st;

/** Prints the card that numbers were made on, as JSON: properties, driver, clocks, libraries. */
public final class Card {

  private Card() {}

  /** Ends with status 1 and one sentence where there is no card to describe. */
  public static void main(String[] args) throws IOException {
    if (Vendor.unavailabilityCause().isPresent()) {
      System.err.println("no card to compare on: " + Vendor.unavailabilityCause().get());
      System.exit(1);
    }
    ObjectMapper mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
    System.out.println(mapper.writeValueAsString(describe(mapper.createObjectNode())));
  }

  private static ObjectNode describe(ObjectNode card) {
    try (cudaDeviceProp properties = new cudaDeviceProp()) {
      Vendor.check("cudaGetDeviceProperties", cudart.cudaGetDeviceProperties(properties, 0));
      card.put("device", properties.name().getString());
      card.put("computeCapability", properties.major() + "." + properties.minor());
      card.put("multiprocessors", properties.multiProcessorCount());
      card.put("memoryBytes", properties.totalGlobalMem());
      card.put("l2Bytes", properties.l2CacheSize());
    }
    int[] value = new int[1];
    Vendor.check("cudaRuntimeGetVersion", cudart.cudaRuntimeGetVersion(value));
    card.put("cudaRuntime", value[0]);
    card.put("cudnn", cudnn.cudnnGetVersion());
    Vendor.check("nvmlInit", nvmlInit_v2());
    byte[] driver = new byte[80];
    Vendor.check("nvmlSystemGetDriverVersion", nvmlSystemGetDriverVersion(driver, driver.length));
    card.put("driver", new String(driver, StandardCharsets.US_ASCII).replace("\0", ""));
    nvmlDevice_st device = new nvmlDevice_st();
    Vendor.check("nvmlDeviceGetHandleByIndex", nvmlDeviceGetHandleByIndex_v2(0, device));
    ObjectNode now = card.putObject("clockMhz");
    Vendor.check("nvmlDeviceGetClockInfo", nvmlDeviceGetClockInfo(device, NVML_CLOCK_SM, value));
    now.put("sm", value[0]);
    Vendor.check("nvmlDeviceGetClockInfo", nvmlDeviceGetClockInfo(device, NVML_CLOCK_MEM, value));
    now.put("memory", value[0]);
    ObjectNode most = card.putObject("clockMaxMhz");
    Vendor.check(
        "nvmlDeviceGetMaxClockInfo", nvmlDeviceGetMaxClockInfo(device, NVML_CLOCK_SM, value));
    most.put("sm", value[0]);
    Vendor.check(
        "nvmlDeviceGetMaxClockInfo", nvmlDeviceGetMaxClockInfo(device, NVML_CLOCK_MEM, value));
    most.put("memory", value[0]);
    Vendor.check(
        "nvmlDeviceGetPowerManagementLimit", nvmlDeviceGetPowerManagementLimit(device, value));
    card.put("powerLimitWatts", value[0] / 1000);
    nvmlShutdown();
    return card;
  }
}
