console.log("xdevd");
