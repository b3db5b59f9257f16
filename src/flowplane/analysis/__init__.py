"""Whatever needs several epochs or layers: functions from a Recording to a labelled Dataset."""
