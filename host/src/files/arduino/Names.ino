// A text a second on the serial monitor, 115200 baud, each shown as it emerges from its masks, for example
//
//     _____ _o___ _or__ nor__ nor_a noria
//
// The first are those of `micro-diffusion sample --model FILE --seed 1 --trace` on a desktop, with spaces for its arrows.

#include <@HEADER@>

// Any number, for texts of your own: a clock, a counter kept in EEPROM, or the noise of an open input,
// (uint64_t)analogRead(A0) * 1000003 + micros().
static const uint64_t SEED = 1;

// All that the model works in: MODEL_RAM bytes.
static model_state state;
static uint32_t number = 0;

void setup() {
  Serial.begin(115200);
  // Boards with USB of their own take a while until somebody listens.
  while (!Serial && millis() < 3000) {
  }
}

void loop() {
  // To keep letters, set a pattern: settings.pattern = "m?r?a";
  model_settings settings = MODEL_DEFAULTS;
  char text[MODEL_TEXT];
  if (model_start(&state, &settings, SEED, number)) {
    do {
      model_show(&state, '_', text, sizeof text);
      Serial.print(text);
      Serial.print(' ');
    } while (model_step(&state));
    Serial.println();
  }
  number++;
  delay(1000);
}
